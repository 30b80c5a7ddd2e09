package routing

import (
	"fmt"
	"slices"

	"gatehouse/app"
)

// Sealer seals secrets for one purpose each, and opens them again.
type Sealer interface {
	Seal(purpose string, secret []byte) []byte
	Open(purpose string, sealed []byte) ([]byte, error)
}

// seal returns the upstreams as they are stored: with sealed secrets in the
// place of those that are given, and the stored ones where none is.
func (s *Service) seal(known, wanted []app.Upstream) ([]app.Upstream, error) {
	stored := map[string]app.Upstream{}
	for _, u := range known {
		stored[u.Name] = u
	}
	out := slices.Clone(wanted)
	var wrong []app.FieldError
	for i, u := range out {
		if u.Credential == nil {
			continue
		}
		c, problem := s.sealOne(stored[u.Name], u)
		if problem != "" {
			wrong = append(wrong, app.FieldError{Field: fmt.Sprintf("upstreams[%d].credential.secret", i), Message: problem})
			continue
		}
		out[i].Credential = &c
	}
	if len(wrong) > 0 {
		return nil, app.InvalidFields(wrong)
	}
	return out, nil
}

// sealOne is the credential of one upstream as it is stored, or what is wrong.
func (s *Service) sealOne(old, u app.Upstream) (c app.Credential, problem string) {
	c = *u.Credential
	secret := c.Secret
	c.Secret, c.Hint, c.Sealed = "", "", nil
	var had app.Credential
	if old.Credential != nil {
		had = *old.Credential
	}
	switch {
	case secret == "" && had.Sealed == nil:
		return c, "must be given"
	case secret == "" && redirects(old, u):
		return c, "must be given again: the upstream would be another one, and nobody shall send the stored secret there who does not know it"
	case secret == "":
		c.Hint, c.Sealed = had.Hint, had.Sealed
		return c, ""
	case s.Sealer == nil:
		return c, "cannot be kept: this installation has no encryption key"
	}
	purpose := app.CredentialPurpose(u.Name)
	c.Hint, c.Sealed = app.SecretHint(secret), had.Sealed
	if opened, err := s.Sealer.Open(purpose, had.Sealed); err != nil || string(opened) != secret {
		c.Sealed = s.Sealer.Seal(purpose, []byte(secret))
	}
	return c, ""
}

// redirects reports whether the change could bring the secret to somebody who
// did not get it before: to another place, past its proof of identity, or in a
// way that others see.
func redirects(old, u app.Upstream) bool {
	for _, address := range u.Addresses {
		if !slices.Contains(old.Addresses, address) {
			return true
		}
	}
	return u.HostHeader != old.HostHeader || u.InsecureSkipVerify && !old.InsecureSkipVerify ||
		u.AllowPrivate && !old.AllowPrivate ||
		u.Credential.Header != old.Credential.Header || u.Credential.Prefix != old.Credential.Prefix
}
