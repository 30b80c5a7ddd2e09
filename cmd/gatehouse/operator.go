package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/app"
	"gatehouse/app/auth"
	"gatehouse/web/ui"
)

func (c *cli) operatorCommand() *cobra.Command {
	return group("operator", "Let people into the console",
		c.operatorList(), c.operatorAdd(), c.operatorLink(), c.operatorReset(), c.operatorRemove())
}

// openAuth opens sign-in on an installation.
func (i *installation) openAuth(now func() time.Time) (*auth.Service, error) {
	key, err := installationKey(i.config)
	if err != nil {
		return nil, err
	}
	sealer, err := app.NewSealer(key)
	if err != nil {
		return nil, err
	}
	return auth.New(auth.Options{Store: i.store, Sealer: sealer, Now: now, Log: slog.New(slog.DiscardHandler)}), nil
}

// operators is the shape of `operator list --json`.
type operators struct {
	Items []app.Operator `json:"items"`
}

func (c *cli) operatorList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the operators",
		Example: "  gatehouse operator list",
		Args:    takes(),
		RunE: c.withAuth(func(call call, people *auth.Service, _ []string) error {
			list, err := people.Operators(call.ctx, c.actor())
			if err != nil {
				return err
			}
			return c.show(operators{list}, func(t *table) {
				t.row("EMAIL", "NAME", "SINCE", "ID")
				for _, o := range list {
					t.row(o.Email, o.Name, moment(o.CreatedAt), string(o.ID))
				}
			})
		}),
	}
}

// withAuth runs a command with the sign-in service.
func (c *cli) withAuth(do func(call, *auth.Service, []string) error) func(*cobra.Command, []string) error {
	return c.with(func(call call, args []string) error {
		people, err := call.openAuth(c.now)
		if err != nil {
			return err
		}
		return do(call, people, args)
	})
}

// freshPassword is what the commands answer that set a password.
type freshPassword struct {
	app.Operator
	Password string `json:"password,omitempty"` // when it was made here
}

func (c *cli) operatorAdd() *cobra.Command {
	var in auth.NewOperator
	var stdin bool
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Add an operator; a password is made and shown this once",
		Example: "  gatehouse operator add --email mara@example.com --name Mara\n" +
			"  pass show gatehouse | gatehouse operator add --email mara@example.com --name Mara --password-stdin",
		Args: takes(),
		RunE: c.withAuth(func(call call, people *auth.Service, _ []string) (err error) {
			made := ""
			if in.Password, made, err = c.password(stdin); err != nil {
				return err
			}
			operator, err := people.AddOperator(call.ctx, c.actor(), in)
			if err != nil {
				return err
			}
			return c.showPassword(operator, made)
		}),
	}
	cmd.Flags().StringVar(&in.Email, "email", "", "e-mail address to sign in with (required)")
	cmd.Flags().StringVar(&in.Name, "name", "", "what people see (required)")
	cmd.Flags().BoolVar(&stdin, "password-stdin", false, "read the password from standard input")
	cmd.MarkFlagRequired("email")
	cmd.MarkFlagRequired("name")
	return cmd
}

func (c *cli) operatorReset() *cobra.Command {
	var email string
	var stdin bool
	cmd := &cobra.Command{
		Use:     "reset-password",
		Short:   "Give an operator a new password and end all sessions of it",
		Example: "  gatehouse operator reset-password --email mara@example.com",
		Args:    takes(),
		RunE: c.withAuth(func(call call, people *auth.Service, _ []string) error {
			password, made, err := c.password(stdin)
			if err != nil {
				return err
			}
			operator, err := people.ResetPassword(call.ctx, c.actor(), email, password)
			if err != nil {
				return err
			}
			return c.showPassword(operator, made)
		}),
	}
	cmd.Flags().StringVar(&email, "email", "", "e-mail address (default: the only operator)")
	cmd.Flags().BoolVar(&stdin, "password-stdin", false, "read the password from standard input")
	return cmd
}

// password reads one from standard input, or makes one; made is then not empty.
func (c *cli) password(stdin bool) (password, made string, err error) {
	if !stdin {
		made = rand.Text()
		return made, made, nil
	}
	line, err := bufio.NewReader(c.in).ReadString('\n')
	if password = strings.TrimRight(line, "\r\n"); password == "" {
		return "", "", misuse("", "standard input holds no password (%v)", err)
	}
	return password, "", nil
}

func (c *cli) showPassword(operator app.Operator, made string) error {
	return c.show(freshPassword{operator, made}, func(t *table) {
		t.row("Operator", operator.Name)
		t.row("E-mail", operator.Email)
		if made != "" {
			t.row("Password", made)
		}
	})
}

func (c *cli) operatorRemove() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "remove EMAIL",
		Short:   "Remove an operator and end its sessions; the last one stays",
		Example: "  gatehouse operator remove mara@example.com --yes",
		Args:    takes("EMAIL"),
		RunE: c.withAuth(func(call call, people *auth.Service, args []string) error {
			operator, err := call.store.OperatorByEmail(call.ctx, strings.ToLower(args[0]))
			if err != nil {
				return err
			}
			if err := c.confirm(operator.Email, "This takes "+operator.Name+" out of the console at once."); err != nil {
				return err
			}
			if err := people.RemoveOperator(call.ctx, c.actor(), operator.ID); err != nil {
				return err
			}
			return c.show(operator, func(t *table) { t.row("Removed " + operator.Email + ".") })
		}),
	}
	c.addYes(cmd)
	return cmd
}

// oneTimeLink is the shape of `operator link --json`.
type oneTimeLink struct {
	URL       string    `json:"url"`
	Email     string    `json:"email,omitempty"` // empty: whoever opens it becomes the first operator
	ExpiresAt time.Time `json:"expires_at"`
}

func (c *cli) operatorLink() *cobra.Command {
	var email string
	cmd := &cobra.Command{
		Use:     "link",
		Short:   "Make a link that signs an operator in once, or claims an installation that nobody has claimed",
		Example: "  gatehouse operator link\n  gatehouse operator link --email mara@example.com --json",
		Args:    takes(),
		RunE: c.withAuth(func(call call, people *auth.Service, _ []string) error {
			link, err := makeLink(call.ctx, people, call.config, c.actor(), email, c.now())
			if err != nil {
				return err
			}
			return c.show(link, func(t *table) {
				t.row(link.URL)
				t.row("It works once, until " + moment(link.ExpiresAt) + ".")
			})
		}),
	}
	cmd.Flags().StringVar(&email, "email", "", "which operator (default: the only one)")
	return cmd
}

func makeLink(ctx context.Context, people *auth.Service, config *Config, actor app.Actor, email string, now time.Time) (oneTimeLink, error) {
	token, open, err := people.ClaimLink(ctx)
	if err != nil {
		return oneTimeLink{}, err
	}
	if open {
		return oneTimeLink{config.consoleURL() + ui.Claim(token), "", now.Add(auth.ClaimLife).UTC()}, nil
	}
	token, operator, err := people.SignInLink(ctx, actor, email)
	return oneTimeLink{config.consoleURL() + ui.SignInLink(token), operator.Email, now.Add(auth.LinkLife).UTC()}, err
}

// consoleURL is how browsers reach the console: as configured, or built from
// its listener.
func (c *Config) consoleURL() string {
	if c.Console.PublicURL != "" {
		return strings.TrimRight(c.Console.PublicURL, "/")
	}
	secure := c.Console.TLS.Enabled() || c.OnePort() && c.Gateway.TLS.Enabled()
	return baseURL(c.Console.Addr, c.Console.Host, secure)
}

// gatewayURL is how clients on this machine reach the gateway.
func (c *Config) gatewayURL() string { return baseURL(c.Gateway.Addr, "", c.Gateway.TLS.Enabled()) }

// baseURL is the address of a listener for people; host may name it better.
func baseURL(addr, host string, secure bool) string {
	scheme := map[bool]string{false: "http://", true: "https://"}[secure]
	listens, port, err := net.SplitHostPort(addr)
	if err != nil {
		return scheme + addr
	}
	if host == "" {
		if host = listens; host == "" || net.ParseIP(host).IsUnspecified() {
			host = "127.0.0.1"
		}
	}
	return scheme + net.JoinHostPort(host, port)
}
