package token

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gatehouse/app"
)

// IssuersOptions of Issuers.
type IssuersOptions struct {
	Now func() time.Time
	Log *slog.Logger
	// AllowPrivate lets key sets be fetched from private and loopback
	// addresses and without TLS. Without it a name that leads into the
	// operator's network is refused.
	AllowPrivate bool
}

// Issuers verifies the JWTs of outside issuers. Without an issuer it refuses
// every token and opens no connection.
type Issuers struct {
	o      IssuersOptions
	byName map[string]*trusted // by iss
	parser *jwt.Parser
	seen   *verifiedCache
}

type trusted struct {
	Issuer
	keys      *keySet
	validator *jwt.Validator
}

// NewIssuers checks the issuers and prepares them; keys are fetched by Run, or
// with the first token.
func NewIssuers(list []Issuer, o IssuersOptions) (*Issuers, error) {
	i := &Issuers{o: o, byName: map[string]*trusted{}, seen: newVerifiedCache(),
		parser: jwt.NewParser(jwt.WithValidMethods(outsideAlgorithms), jwt.WithStrictDecoding(),
			jwt.WithJSONNumber(), jwt.WithoutClaimsValidation())}
	client := fetchClient(o.AllowPrivate)
	var wrong []app.FieldError
	if len(list) > MaxIssuers {
		wrong = append(wrong, app.FieldError{Field: "issuers", Message: fmt.Sprintf("must hold at most %d issuers", MaxIssuers)})
	}
	for n, issuer := range list {
		path := fmt.Sprintf("issuers[%d]", n)
		wrong = append(wrong, issuer.Check(path, o.AllowPrivate)...)
		if i.byName[issuer.Issuer] != nil {
			wrong = append(wrong, app.FieldError{Field: path + ".issuer", Message: "is used twice"})
		}
		i.byName[issuer.Issuer] = i.trust(issuer.withDefaults(), client)
	}
	if len(wrong) > 0 {
		return nil, app.InvalidFields(wrong)
	}
	return i, nil
}

func (i *Issuers) trust(issuer Issuer, client *http.Client) *trusted {
	keys := &keySet{now: i.o.Now, onChange: i.seen.clear, fetch: fetchFile(issuer.JWKSFile)}
	if issuer.JWKSURL != "" {
		keys.fetch = fetchURL(client, issuer.JWKSURL)
	}
	return &trusted{Issuer: issuer, keys: keys, validator: jwt.NewValidator(jwt.WithIssuer(issuer.Issuer),
		jwt.WithAudience(issuer.Audiences...), jwt.WithExpirationRequired(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(i.o.Now))}
}

// Verify checks a token of an outside issuer and answers what it says. A token
// that was verified is known again without its signature being checked anew,
// until it expires or the issuer's keys change.
func (i *Issuers) Verify(ctx context.Context, token string) (Outside, error) {
	if len(token) > MaxTokenLength || strings.Count(token, ".") != 2 {
		return Outside{}, malformed(nil)
	}
	now, id := i.o.Now(), cacheKey(token)
	if known, ok := i.seen.get(id); ok && now.Before(known.ExpiresAt) {
		return known, nil
	}
	generation := i.seen.generation()
	outside, err := i.verify(ctx, token)
	if err != nil {
		return Outside{}, refused(err)
	}
	i.seen.put(id, outside, generation)
	return outside, nil
}

func (i *Issuers) verify(ctx context.Context, token string) (Outside, error) {
	claims := jwt.MapClaims{}
	var from *trusted
	_, err := i.parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		if from = i.byName[text(claims["iss"])]; from == nil {
			return nil, unauthenticated("token_issuer", "The token's issuer is not trusted here.", "Get a token from an issuer that is.", nil)
		}
		if !slices.Contains(from.Algorithms, t.Method.Alg()) {
			return nil, fmt.Errorf("the algorithm %s is not allowed for this issuer", t.Method.Alg())
		}
		if err := checkHeader(t.Header, from.Types); err != nil {
			return nil, err
		}
		if err := from.validator.Validate(claims); err != nil { // before a stranger's token can cause a fetch
			return nil, err
		}
		return from.keys.find(ctx, text(t.Header["kid"]), t.Method.Alg())
	})
	if err != nil {
		return Outside{}, err
	}
	return from.read(claims)
}

// Run fetches every issuer's keys and refreshes them until the context ends.
func (i *Issuers) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, issuer := range i.byName {
		all.Go(func() { i.follow(ctx, issuer) })
	}
	all.Wait()
}

func (i *Issuers) follow(ctx context.Context, issuer *trusted) {
	for {
		pause := refreshEvery
		issuer.keys.mu.Lock()
		done := issuer.keys.begin(ctx)
		issuer.keys.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			return
		}
		if err := issuer.keys.lastFailure(); err != nil {
			pause = refetchPause
			i.o.Log.Warn("cannot fetch an issuer's keys", "issuer", issuer.Name, "err", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

func (k *keySet) lastFailure() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failure
}

// Ready answers for each issuer, by name, why its tokens cannot be verified
// now, or nil.
func (i *Issuers) Ready() map[string]error {
	ready := map[string]error{}
	for _, issuer := range i.byName {
		ready[issuer.Name] = nil
		if issuer.keys.held() == nil {
			ready[issuer.Name] = issuer.keys.unavailable()
		}
	}
	return ready
}

// fetchClient follows no redirect, uses no proxy (which would dial in its own
// name) and holds no connection open.
func fetchClient(allowPrivate bool) *http.Client {
	return &http.Client{
		Timeout:       fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            guardedDial(allowPrivate, fetchTimeout/2),
			TLSHandshakeTimeout:    fetchTimeout / 2,
			ResponseHeaderTimeout:  fetchTimeout / 2,
			MaxResponseHeaderBytes: 64 << 10,
			DisableKeepAlives:      true,
		},
	}
}

func fetchURL(client *http.Client, url string) func(context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Accept", "application/jwk-set+json, application/json")
		answer, err := client.Do(request)
		if err != nil {
			return nil, err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("the issuer answered %s", answer.Status)
		}
		return readBounded(answer.Body)
	}
}

func fetchFile(path string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		return readBounded(file)
	}
}

func readBounded(from io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(from, maxKeySetBytes+1))
	if err == nil && len(raw) > maxKeySetBytes {
		err = errors.New("the key set is larger than 1 MiB")
	}
	return raw, err
}
