package auth

import (
	_ "embed"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"gatehouse/app"
)

// Bounds of a password. Length is what counts (NIST SP 800-63B, 3.1.1); the
// upper bound keeps an attempt from costing more than its hash.
const (
	MinPasswordLength = 10   // characters
	MaxPasswordBytes  = 1024 // bytes of UTF-8
)

// commonWords are what common passwords are made of, one a line, in lower
// case: the heads of public lists of leaked passwords, without digits and
// punctuation at their ends.
//
//go:embed common.txt
var commonWords string

// CheckPassword says what is wrong with a new password, or nil. It asks for
// length, and refuses what guessers try first: common words dressed up with
// digits, repeated or running characters, and the person's own name.
func CheckPassword(password string, own ...string) *app.FieldError {
	wrong := func(message string) *app.FieldError { return &app.FieldError{Field: "password", Message: message} }
	switch {
	case !utf8.ValidString(password):
		return wrong("must be UTF-8 text")
	case len(password) > MaxPasswordBytes:
		return wrong("must have at most 1024 bytes")
	case utf8.RuneCountInString(norm.NFKC.String(password)) < MinPasswordLength:
		return wrong("must have at least 10 characters; a few words in a row are good")
	case isCommon(password):
		return wrong("is too easy to guess; take a few words that nobody else would put together")
	}
	if isOwn(strings.ToLower(password), own) {
		return wrong("must not be made of your name or e-mail address")
	}
	return nil
}

// isOwn reports whether, without a word of the person's own, too little is left.
func isOwn(low string, own []string) bool {
	for _, text := range own {
		local, _, _ := strings.Cut(strings.ToLower(text), "@")
		for word := range strings.FieldsSeq(local) {
			rest := strings.Map(lettersOnly, strings.ReplaceAll(low, word, ""))
			if len(word) >= 3 && strings.Contains(low, word) && utf8.RuneCountInString(rest) < 4 {
				return true
			}
		}
	}
	return false
}

func lettersOnly(r rune) rune {
	if unicode.IsLetter(r) {
		return r
	}
	return -1
}

// isCommon reports whether guessers try the password early.
func isCommon(password string) bool {
	low := strings.NewReplacer(" ", "", "-", "", "_", "", ".", "").Replace(strings.ToLower(norm.NFKC.String(password)))
	notLetter := func(r rune) bool { return !unicode.IsLetter(r) }
	tail := strings.TrimRightFunc(low, notLetter) // digits at the end are no letters in disguise
	for _, core := range []string{plain(tail), plain(strings.TrimLeftFunc(tail, notLetter))} {
		for word := range strings.FieldsSeq(commonWords) {
			if core == word || core == word+word {
				return true
			}
		}
	}
	return runs(low) || repeats(low)
}

// plain undoes the usual disguises of letters.
func plain(low string) string {
	return strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "@", "a", "5", "s", "$", "s", "7", "t", "!", "i").Replace(low)
}

// keyRows are the runs that fingers make.
var keyRows = []string{"abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm", "1qaz2wsx3edc4rfv5tgb", "azertyuiopqsdfghjklmwxcvbn"}

// runs reports whether the text is one run of neighbouring keys, either way.
func runs(low string) bool {
	for _, row := range keyRows {
		if strings.Contains(row, low) || strings.Contains(row, reversed(low)) {
			return true
		}
	}
	return false
}

// repeats reports whether the text is a few characters over and over.
func repeats(low string) bool {
	for size := 1; size <= len(low)/3 && size <= 4; size++ {
		if strings.Repeat(low[:size], len(low)/size+1)[:len(low)] == low {
			return true
		}
	}
	return false
}

func reversed(text string) string {
	runes := []rune(text)
	for i, j := 0, len(runes)-1; i < j; i, j = i+1, j-1 {
		runes[i], runes[j] = runes[j], runes[i]
	}
	return string(runes)
}
