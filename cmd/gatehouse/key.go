package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/app"
	"gatehouse/app/keys"
)

func (c *cli) keyCommand() *cobra.Command {
	return group("key", "Create, list, rotate and revoke API keys",
		c.keyCreate(), c.keyList(), c.keyRotate(), c.keyRevoke())
}

// owner is whose keys a command means: an organization's, or the operator's.
type owner struct {
	org      string
	operator bool
}

func addOwnerFlags(cmd *cobra.Command, of *owner) {
	cmd.Flags().StringVar(&of.org, "org", "", "slug or id of the organization")
	cmd.Flags().BoolVar(&of.operator, "operator", false, "the operator's own keys, for the management API")
	cmd.MarkFlagsMutuallyExclusive("org", "operator")
}

// id resolves the owner; the operator's is empty.
func (o owner) id(call call, c *cli) (app.OrgID, error) {
	if o.operator {
		return "", nil
	}
	if o.org == "" {
		return "", misuse(seeHelp(call.cmd), "name the organization with --org, or give --operator")
	}
	org, err := call.orgs.Find(call.ctx, c.actor(), o.org)
	return org.ID, err
}

func (c *cli) keyCreate() *cobra.Command {
	var of owner
	var in keys.New
	var cidrs, limits []string
	var expires string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create a key; its secret is shown this once",
		Example: "  gatehouse key create --org acme-inc --name ci\n" +
			"  gatehouse key create --org acme-inc --name ci --scope files:read --cidr 192.0.2.0/24 --expires 90d\n" +
			"  gatehouse key create --operator --name terraform --scope '*' --json",
		Args: takes(),
		RunE: c.withNew(func(call call, _ []string) (err error) {
			if in.Org, err = of.id(call, c); err != nil {
				return err
			}
			if err := fillKey(&in, cidrs, limits, expires, c.now()); err != nil {
				return err
			}
			if in.Org == "" && len(in.Scopes) == 0 {
				in.Scopes = []string{"*"}
			}
			minted, err := call.keys.Mint(call.ctx, c.actor(), in)
			if err != nil {
				return err
			}
			return c.showMinted(minted)
		}),
	}
	addOwnerFlags(cmd, &of)
	cmd.Flags().StringVar(&in.Name, "name", "", "what it is for, such as ci (required)")
	cmd.Flags().StringVar(&in.Env, "env", "", "live or test: part of the secret's prefix (default: live)")
	cmd.Flags().StringSliceVar(&in.Scopes, "scope", nil, "what it may do, such as files:read; repeatable")
	cmd.Flags().StringSliceVar(&cidrs, "cidr", nil, "network from which it may be used; repeatable (default: any)")
	cmd.Flags().StringVar(&expires, "expires", "", "when it ends: a duration (90d) or a time (2027-01-31T00:00:00Z)")
	cmd.Flags().StringArrayVar(&limits, "rate-limit", nil, "limit of this key, such as 100/1m or burst=20,100/1m; repeatable")
	return cmd
}

// fillKey reads what the command line says in words.
func fillKey(in *keys.New, cidrs, limits []string, expires string, now time.Time) (err error) {
	for _, word := range cidrs {
		network, err := parseNetwork(word)
		if err != nil {
			return app.Invalid("--cidr", "%v", err)
		}
		in.CIDRs = append(in.CIDRs, network)
	}
	for i, word := range limits {
		limit, err := parseRateLimit(word, fmt.Sprintf("limit-%d", i+1))
		if err != nil {
			return err
		}
		in.RateLimits = append(in.RateLimits, limit)
	}
	in.ExpiresAt, err = parseExpiry(expires, now)
	return err
}

// parseExpiry reads a duration from now, or a time.
func parseExpiry(word string, now time.Time) (time.Time, error) {
	if word == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, word); err == nil {
		return at, nil
	}
	if at, err := time.Parse(time.DateOnly, word); err == nil {
		return at, nil
	}
	after, err := app.ParseDuration(word)
	if err != nil || after <= 0 {
		return time.Time{}, app.Invalid("--expires", "%q must be a duration such as 90d, or a time such as 2027-01-31T00:00:00Z", word)
	}
	return now.Add(after.Std()), nil
}

// parseRateLimit reads "100/1m", perhaps behind "burst=20,".
func parseRateLimit(word, name string) (app.RateLimit, error) {
	limit, rest := app.RateLimit{Name: name}, word
	bad := app.Invalid("--rate-limit", "%q must look like 100/1m or burst=20,100/1m", word)
	if head, tail, ok := strings.Cut(word, ","); ok {
		if _, err := fmt.Sscanf(head, "burst=%d", &limit.Burst); err != nil {
			return limit, bad
		}
		rest = tail
	}
	count, window, ok := strings.Cut(rest, "/")
	if _, err := fmt.Sscanf(count, "%d", &limit.Requests); err != nil || !ok {
		return limit, bad
	}
	if err := limit.Window.UnmarshalText([]byte(window)); err != nil {
		return limit, bad
	}
	return limit, nil
}

func (c *cli) showMinted(minted app.MintedKey) error {
	c.note("Keep the secret now: it is never shown again.")
	return c.show(minted, func(t *table) {
		t.row("Key", minted.Secret)
		t.row("Id", string(minted.ID))
		t.row("Name", minted.Name)
		t.row("Scopes", orDash(strings.Join(minted.Scopes, ", ")))
		t.row("Expires", moment(minted.ExpiresAt))
	})
}

// shownKey is a key as lists and answers show it.
type shownKey struct {
	app.Key
	State app.KeyState `json:"state"`
}

func (c *cli) keyList() *cobra.Command {
	var of owner
	var page app.Page
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List keys, newest first, without their secrets",
		Example: "  gatehouse key list --org acme-inc\n  gatehouse key list --operator --json",
		Args:    takes(),
		RunE: c.with(func(call call, _ []string) error {
			org, err := of.id(call, c)
			if err != nil {
				return err
			}
			list, err := call.keys.List(call.ctx, c.actor(), org, page)
			if err != nil {
				return err
			}
			shown := app.List[shownKey]{Items: []shownKey{}, Next: list.Next}
			for _, k := range list.Items {
				shown.Items = append(shown.Items, shownKey{k, k.State(c.now())})
			}
			return c.showList(shown, list.Next, func(t *table) {
				t.row("NAME", "HINT", "STATE", "SCOPES", "LAST USED", "EXPIRES", "ID")
				for _, k := range shown.Items {
					t.row(k.Name, k.Hint, string(k.State), orDash(strings.Join(k.Scopes, " ")),
						moment(k.LastUsedAt), moment(k.ExpiresAt), string(k.ID))
				}
			})
		}),
	}
	addOwnerFlags(cmd, &of)
	addPageFlags(cmd, &page)
	return cmd
}

func (c *cli) keyRotate() *cobra.Command {
	var of owner
	var grace string
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Replace a key by one that inherits everything; the old one ends after the grace",
		Example: "  gatehouse key rotate key_01… --org acme-inc --grace 24h\n" +
			"  gatehouse key rotate key_01… --org acme-inc --grace 0s --json",
		Args: takes("ID"),
		RunE: c.with(func(call call, args []string) error {
			org, err := of.id(call, c)
			if err != nil {
				return err
			}
			length, err := app.ParseDuration(grace)
			if err != nil {
				return app.Invalid("--grace", "%v", err)
			}
			minted, err := call.keys.Rotate(call.ctx, c.actor(), org, app.KeyID(args[0]), length.Std())
			if err != nil {
				return err
			}
			return c.showMinted(minted)
		}),
	}
	addOwnerFlags(cmd, &of)
	cmd.Flags().StringVar(&grace, "grace", "24h", "how long the old key goes on, 0s–30d")
	return cmd
}

func (c *cli) keyRevoke() *cobra.Command {
	var of owner
	cmd := &cobra.Command{
		Use:     "revoke ID",
		Short:   "End a key at once and for ever",
		Example: "  gatehouse key revoke key_01… --org acme-inc --yes",
		Args:    takes("ID"),
		RunE: c.with(func(call call, args []string) error {
			org, err := of.id(call, c)
			if err != nil {
				return err
			}
			key, err := call.keys.Find(call.ctx, c.actor(), org, app.KeyID(args[0]))
			if err != nil {
				return err
			}
			if err := c.confirm(key.Name, "This ends the key "+key.Name+" ("+key.Hint+") at once."); err != nil {
				return err
			}
			key, err = call.keys.Revoke(call.ctx, c.actor(), org, key.ID)
			if err != nil {
				return err
			}
			return c.show(shownKey{key, key.State(c.now())}, func(t *table) { t.row("Revoked " + key.Name + " (" + key.Hint + ").") })
		}),
	}
	addOwnerFlags(cmd, &of)
	c.addYes(cmd)
	return cmd
}
