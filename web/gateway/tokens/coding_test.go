package tokens

import (
	"bytes"
	"compress/gzip"
	"testing"
)

// zipped codes in blocks of n bytes, flushed as servers do.
func zipped(t testing.TB, raw []byte, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	for len(raw) > 0 {
		k := min(n, len(raw))
		if _, err := w.Write(raw[:k]); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		raw = raw[k:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestRecordsInGzipAtEverySplit(t *testing.T) {
	for _, c := range records {
		t.Run(c.file, func(t *testing.T) {
			t.Parallel()
			raw := c.raw(t)
			want := c.visible(raw)
			coded := zipped(t, raw, 300)
			c.check(t, "whole", want, false, "gzip", cut(coded))
			every := make([]int, len(coded))
			for i := range coded {
				every[i] = i
				if i%3 == 0 || i < 30 || i > len(coded)-30 {
					c.check(t, "in two", want, false, "gzip", cut(coded, i))
				}
			}
			c.check(t, "byte by byte", want, false, " GZIP", cut(coded, every...))
		})
	}
}

func TestCodings(t *testing.T) {
	c := records[0]
	for _, row := range []struct {
		coding  string
		decodes bool
	}{{"", false}, {"identity", false}, {"br", false}, {"zstd", false}, {"gzip", true}, {"X-Gzip", true}, {"gzip, br", false}} {
		r := c.reader(false, row.coding)
		if r.Decodes() != row.decodes {
			t.Errorf("%s decodes: %t", row.coding, r.Decodes())
		}
		r.Close()
	}
	passed, rest := feed(t, c.reader(false, "br"), c.raw(t))
	if passed != string(c.raw(t)) || rest != "" {
		t.Error("what cannot be read must pass as it is")
	}
}

func TestBrokenGzip(t *testing.T) {
	raw := bytes.Repeat([]byte("data: x\n\n"), 100)
	coded := zipped(t, raw, len(raw))
	flipped := bytes.Clone(coded)
	flipped[len(flipped)-6] ^= 1 // the checksum
	for name, row := range map[string]struct {
		coded []byte
		late  bool // only Finish finds it
	}{
		"no gzip":       {[]byte("data: x\n\n, and more of it"), false},
		"cut":           {coded[:len(coded)-4], true},
		"cut at a byte": {coded[:3], true},
		"checksum":      {flipped, false},
		"behind it":     {append(bytes.Clone(coded), "garbage garbage"...), false},
		"a bomb":        {zipped(t, make([]byte, maxInflated+1), maxInflated+1), false},
	} {
		r := records[0].reader(false, "gzip")
		_, err := r.Write(row.coded)
		if (err == ErrAnswer) == row.late {
			t.Errorf("%s: Write says %v", name, err)
		}
		if _, err = r.Finish(); err != ErrAnswer {
			t.Errorf("%s: Finish says %v", name, err)
		}
		r.Close()
	}
	r := records[0].reader(false, "gzip")
	if passed, rest := feed(t, r); passed+rest != "" {
		t.Error("an empty answer is none that is broken")
	}
}
