package export

import (
	"encoding/base64"
	"encoding/binary"

	"gatehouse/app"
)

// placeSize is the length of a place in bytes: three numbers.
const placeSize = 3 * 8

func cursorPurpose(org app.OrgID) string { return "export cursor:" + string(org) }

// seal makes a cursor, which holds for the organization alone.
func (o *Own) seal(org app.OrgID, p app.ExportPlace) string {
	raw := make([]byte, 0, placeSize)
	for _, n := range []int64{p.Step, p.Block, p.Skip} {
		raw = binary.BigEndian.AppendUint64(raw, uint64(n))
	}
	return base64.RawURLEncoding.EncodeToString(o.Sealing.Seal(cursorPurpose(org), raw))
}

func (o *Own) open(org app.OrgID, cursor string) (p app.ExportPlace, err error) {
	sealed, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return p, errCursor()
	}
	raw, err := o.Sealing.Open(cursorPurpose(org), sealed)
	if err != nil || len(raw) != placeSize {
		return p, errCursor()
	}
	number := func(i int) int64 { return int64(binary.BigEndian.Uint64(raw[8*i:])) }
	return app.ExportPlace{Step: number(0), Block: number(1), Skip: number(2)}, nil
}

func errCursor() error {
	return app.Invalid("after", "must be what an earlier page of this organization gave as next")
}
