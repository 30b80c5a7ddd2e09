package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/app"
)

type (
	std    = time.Duration
	prefix = netip.Prefix
)

const (
	second = time.Second
	minute = time.Minute
	hour   = time.Hour
	day    = 24 * time.Hour
)

// value is how one setting is read, checked and shown. List settings take any
// number of words, the others exactly one.
type value[T any] struct {
	Kind string // for the reference: "duration", "one of full, relaxed", …
	List bool
	set  func(*T, []string) error
	show func(*T) []string
	each *nested[T] // for a list of objects; set and show are then unused
}

// scalar builds a value of one word.
func scalar[T any](kind string, set func(*T, string) error, show func(*T) string) value[T] {
	return value[T]{Kind: kind,
		set: func(to *T, words []string) error {
			if len(words) != 1 {
				return fmt.Errorf("must be one value, not a list")
			}
			return set(to, words[0])
		},
		show: func(from *T) []string { return []string{show(from)} }}
}

// checked is a text that is empty or passes the check.
func checked[T any](kind string, at func(*T) *string, check func(string) error) value[T] {
	return scalar(kind, func(to *T, word string) error {
		if word != "" {
			if err := check(word); err != nil {
				return err
			}
		}
		*at(to) = word
		return nil
	}, func(from *T) string { return *at(from) })
}

func text[T any](at func(*T) *string) value[T] {
	return checked("text", at, func(word string) error {
		if strings.ContainsAny(word, "\x00\r\n") {
			return fmt.Errorf("must be one line of text")
		}
		return nil
	})
}

func choice[T any](at func(*T) *string, allowed ...string) value[T] {
	list := strings.Join(allowed, ", ")
	return scalar("one of "+list, func(to *T, word string) error {
		if !slices.Contains(allowed, word) {
			return fmt.Errorf("%q must be one of %s", word, list)
		}
		*at(to) = word
		return nil
	}, func(from *T) string { return *at(from) })
}

func integer[T any](at func(*T) *int64, least, most int64) value[T] {
	return scalar("number", func(to *T, word string) error {
		n, err := strconv.ParseInt(strings.ReplaceAll(word, "_", ""), 10, 64)
		if err != nil || n < least || n > most {
			return fmt.Errorf("%q must be a whole number from %d to %d", word, least, most)
		}
		*at(to) = n
		return nil
	}, func(from *T) string { return strconv.FormatInt(*at(from), 10) })
}

func fraction[T any](at func(*T) *float64) value[T] {
	return scalar("number from 0 to 1", func(to *T, word string) error {
		f, err := strconv.ParseFloat(word, 64)
		if err != nil || !(f >= 0 && f <= 1) {
			return fmt.Errorf("%q must be a number from 0 to 1", word)
		}
		*at(to) = f
		return nil
	}, func(from *T) string { return strconv.FormatFloat(*at(from), 'g', -1, 64) })
}

func boolean[T any](at func(*T) *bool) value[T] {
	return scalar("true or false", func(to *T, word string) error {
		if word != "true" && word != "false" {
			return fmt.Errorf("%q must be true or false", word)
		}
		*at(to) = word == "true"
		return nil
	}, func(from *T) string { return strconv.FormatBool(*at(from)) })
}

func duration[T any](at func(*T) *std, least, most std) value[T] {
	return scalar("duration", func(to *T, word string) error {
		d, err := app.ParseDuration(word)
		if err != nil {
			return err
		}
		if d.Std() < least || d.Std() > most {
			return fmt.Errorf("%q must be from %s to %s", word, app.Duration(least), app.Duration(most))
		}
		*at(to) = d.Std()
		return nil
	}, func(from *T) string { return app.Duration(*at(from)).String() })
}

func networks[T any](at func(*T) *[]prefix) value[T] {
	return value[T]{Kind: "list of networks", List: true,
		set: func(to *T, words []string) error {
			var list []prefix
			for _, word := range words {
				network, err := parseNetwork(word)
				if err != nil {
					return err
				}
				list = append(list, network)
			}
			*at(to) = list
			return nil
		},
		show: func(from *T) (words []string) {
			for _, network := range *at(from) {
				words = append(words, network.String())
			}
			return words
		}}
}

// parseNetwork reads "10.0.0.0/8", or one address as a network of its own.
func parseNetwork(word string) (prefix, error) {
	if addr, err := netip.ParseAddr(word); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
	}
	network, err := netip.ParsePrefix(word)
	if err != nil {
		return prefix{}, fmt.Errorf("%q must be a network such as 10.0.0.0/8 or one address", word)
	}
	return network.Masked(), nil
}

func listener[T any](at func(*T) *string) value[T] {
	return scalar("listen address", func(to *T, word string) error {
		if err := checkListener(word); err != nil {
			return err
		}
		*at(to) = word
		return nil
	}, func(from *T) string { return *at(from) })
}

func optionalListener[T any](at func(*T) *string) value[T] {
	return checked("listen address", at, checkListener)
}

// checkListener accepts host:port and :port; port 0 lets the system choose.
func checkListener(word string) error {
	_, port, err := net.SplitHostPort(word)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q must look like 127.0.0.1:8080 or :8080", word)
	}
	return nil
}

func hostName[T any](at func(*T) *string) value[T] {
	return checked("host name", at, func(word string) error {
		if strings.ContainsAny(word, "/:@ *") || word != strings.ToLower(word) {
			return fmt.Errorf("%q must be a host name in lower case, without scheme or port", word)
		}
		return nil
	})
}

func address[T any](at func(*T) *string, schemes ...string) value[T] {
	return checked("URL", at, func(word string) error {
		u, err := url.Parse(word)
		if err != nil || !slices.Contains(schemes, u.Scheme) || (u.Host == "" && u.Path == "") {
			// The word may hold a password, so it is not repeated.
			return fmt.Errorf("must be a URL that begins with %s://", strings.Join(schemes, ":// or "))
		}
		return nil
	})
}

func upstreamAddress[T any](at func(*T) *string) value[T] {
	return checked("URL", at, app.CheckAddress)
}

func encryptionKey[T any](at func(*T) *string) value[T] {
	return checked("32 bytes in base64 or hex", at, func(word string) error {
		if raw, err := base64.StdEncoding.DecodeString(word); err == nil && len(raw) == 32 {
			return nil
		}
		if raw, err := hex.DecodeString(word); err == nil && len(raw) == 32 {
			return nil
		}
		return fmt.Errorf("must be 32 bytes in base64 or hex; make one with: openssl rand -base64 32")
	})
}
