package console

import (
	"context"
	"net"
	"net/http"
	"net/netip"

	"gatehouse/app"
	"gatehouse/app/auth"
)

// Accounts signs operators in and out; auth.Service fills it.
type Accounts interface {
	Claimed(ctx context.Context) (bool, error)
	CheckClaim(ctx context.Context, token string) error
	Claim(ctx context.Context, token string, in auth.NewOperator, client auth.Client) (auth.SignedIn, error)
	SignIn(ctx context.Context, attempt auth.Attempt) (auth.SignedIn, error)
	CheckLink(ctx context.Context, token string) error
	SignInByLink(ctx context.Context, token string, client auth.Client) (auth.SignedIn, error)
	Reauthenticate(ctx context.Context, this app.Session, password string) (auth.SignedIn, error)
	Session(ctx context.Context, cookie string) (app.Session, app.Operator, error)
	SignOut(ctx context.Context, this app.Session) error
	Sessions(ctx context.Context, actor app.Actor) ([]app.Session, error)
	Revoke(ctx context.Context, actor app.Actor, id string) error
	RevokeOthers(ctx context.Context, this app.Session) (int, error)
	ChangePassword(ctx context.Context, this app.Session, current, next string) error
}

// client is the browser on the other side, as sign-in counts it.
func (v *visit) client() auth.Client {
	return auth.Client{Address: v.site.clientAddress(v.r), UserAgent: v.r.UserAgent(), Device: v.site.cookies.Device(v.r)}
}

func (c *Console) clientAddress(r *http.Request) netip.Addr {
	if c.Client != nil {
		return c.Client(r)
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return address.Unmap()
}
