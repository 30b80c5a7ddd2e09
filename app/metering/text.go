package metering

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// Most texts of a block are ids as app.NewID makes them: a prefix, "_" and 26
// characters of Crockford's base 32, which are 16 bytes. A text is
//
//	uvarint 2·n    then n bytes, or
//	uvarint 2·n+1  then a prefix of n bytes and the 16 bytes
//
// so an id takes 20 bytes instead of 31.
const (
	crockford   = "0123456789abcdefghjkmnpqrstvwxyz"
	idDigits    = 26
	idBytes     = 16
	maxIDPrefix = 8
)

// crockfordValue maps a character to its value, 0xff for what is none.
var crockfordValue = func() (table [256]byte) {
	for i := range table {
		table[i] = 0xff
	}
	for i := range len(crockford) {
		table[crockford[i]] = byte(i)
	}
	return table
}()

// appendText writes a text in the shorter of both forms.
func appendText(out []byte, text string) []byte {
	if n := len(text) - idDigits - 1; n >= 0 && n <= maxIDPrefix && text[n] == '_' {
		if hi, lo, ok := packID(text[n+1:]); ok {
			out = binary.AppendUvarint(out, uint64(n)<<1|1)
			out = append(out, text[:n]...)
			out = binary.BigEndian.AppendUint64(out, hi)
			return binary.BigEndian.AppendUint64(out, lo)
		}
	}
	out = binary.AppendUvarint(out, uint64(len(text))<<1)
	return append(out, text...)
}

// packID reads 26 digits of base 32 as a number of 128 bits; not ok for other
// characters, or when the number is larger.
func packID(digits string) (hi, lo uint64, ok bool) {
	if crockfordValue[digits[0]] > 7 { // 26 digits hold 130 bits; 0xff is larger too
		return 0, 0, false
	}
	for i := range idDigits {
		v := crockfordValue[digits[i]]
		if v == 0xff {
			return 0, 0, false
		}
		hi, lo = hi<<5|lo>>59, lo<<5|uint64(v)
	}
	return hi, lo, true
}

// unpackID writes prefix, "_" and the number's 26 digits.
func unpackID(prefix []byte, hi, lo uint64) string {
	var room [maxIDPrefix + 1 + idDigits]byte
	out := append(append(room[:0], prefix...), '_')
	out = out[:len(out)+idDigits]
	for i := len(out) - 1; i > len(prefix); i-- {
		out[i] = crockford[lo&31]
		hi, lo = hi>>5, lo>>5|hi<<59
	}
	return string(out)
}

// clean makes a text that both databases can hold: UTF-8 without NUL.
func clean(text string) string {
	if strings.IndexByte(text, 0) >= 0 {
		text = strings.ReplaceAll(text, "\x00", "")
	}
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	return text
}
