package console_test

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"gatehouse/web/ui"
)

//go:embed testdata/axe.min.js
var axeScript string

// browser is a Chromium with a fresh profile.
type browser struct {
	t   testing.TB
	ctx context.Context
}

func openBrowser(t testing.TB) *browser {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("CI has no Chromium: packaging/test.sh installs it")
		}
		t.Skip("SKIPPED LOUDLY: there is no Chromium, so no page was looked at")
	}
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("hide-scrollbars", true), chromedp.Flag("font-render-hinting", "none"), chromedp.UserDataDir(profile(t))}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {})) // it complains of events newer than itself
	t.Cleanup(stop)
	if err := chromedp.Run(ctx); err != nil {
		t.Fatalf("Chromium does not start: %v", err)
	}
	return &browser{t: t, ctx: ctx}
}

// profile is an empty folder for a browser. Its processes may still write while
// they end, so whether it can be removed at once is not the test's concern.
func profile(t testing.TB) string {
	dir, err := os.MkdirTemp("", "gatehouse-browser-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 100 {
			if os.RemoveAll(dir) == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	return dir
}

// tab is one page of the browser, which keeps what went wrong in it.
type tab struct {
	t    testing.TB
	ctx  context.Context
	site string

	mu       sync.Mutex
	problems []string // console errors, exceptions, refusals by the policy
	foreign  []string // requests to other hosts
	asked    []string // requests to ours
}

// tab opens a tab; those of one browser share their cookies.
func (b *browser) tab(t testing.TB, site string) *tab {
	ctx, stop := chromedp.NewContext(b.ctx)
	t.Cleanup(stop)
	ctx, stop = context.WithTimeout(ctx, 10*time.Minute)
	t.Cleanup(stop)
	p := &tab{t: t, ctx: ctx, site: site}
	chromedp.ListenTarget(ctx, p.listen)
	p.do(network.Enable(), log.Enable(), runtime.Enable(), emulation.SetTimezoneOverride("Europe/Lisbon"), emulation.SetFocusEmulationEnabled(true))
	p.size(1280)
	return p
}

func (p *tab) listen(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		p.problems = append(p.problems, e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			p.problems = append(p.problems, fmt.Sprintf("console %s: %s", e.Type, e.Args[0].Value))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError || e.Entry.Source == log.SourceSecurity {
			p.problems = append(p.problems, e.Entry.Text+" "+e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		at, err := url.Parse(e.Request.URL)
		switch {
		case err != nil || (at.Scheme != "http" && at.Scheme != "https"):
		case p.site != "" && !strings.HasPrefix(e.Request.URL, p.site):
			p.foreign = append(p.foreign, e.Request.URL)
		default:
			p.asked = append(p.asked, e.Request.Method+" "+at.RequestURI())
		}
	}
}

func (p *tab) do(actions ...chromedp.Action) {
	p.t.Helper()
	if err := chromedp.Run(p.ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *tab) size(width int64) {
	p.do(emulation.SetDeviceMetricsOverride(width, 900, 1, false))
}

func (p *tab) theme(name string) {
	p.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"}}))
}

func (p *tab) open(path string) {
	p.t.Helper()
	p.do(chromedp.Navigate(p.site + path))
}

// js evaluates an expression; what it answers is decoded into out.
func (p *tab) js(expression string, out any) {
	p.t.Helper()
	p.do(chromedp.Evaluate(expression, out, func(e *runtime.EvaluateParams) *runtime.EvaluateParams { return e.WithAwaitPromise(true) }))
}

// text is what a person reads of the element.
func (p *tab) text(selector string) string {
	p.t.Helper()
	var text string
	p.js(fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector), &text)
	return text
}

func (p *tab) path() string {
	var at string
	p.js("location.pathname + location.search", &at)
	return at
}

// patience bounds every wait; only a failure takes so long.
const patience = 2 * time.Minute

// until waits for an expression to become true, also over a change of page.
func (p *tab) until(expression string) {
	p.t.Helper()
	var last error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		var ok bool
		ctx, stop := context.WithTimeout(p.ctx, 3*time.Second)
		last = chromedp.Run(ctx, chromedp.Evaluate(expression, &ok), chromedp.Sleep(25*time.Millisecond))
		stop()
		if last == nil && ok {
			return
		}
	}
	p.t.Fatalf("never came true: %s (%v)", expression, last)
}

// follow clicks something that leads to another page, and waits for that.
func (p *tab) follow(selector string) {
	p.t.Helper()
	loaded := make(chan struct{}, 1)
	ctx, stop := context.WithTimeout(p.ctx, patience)
	defer stop()
	chromedp.ListenTarget(ctx, func(event any) {
		if _, ok := event.(*page.EventLoadEventFired); ok {
			select {
			case loaded <- struct{}{}:
			default:
			}
		}
	})
	p.do(chromedp.Click(selector, chromedp.ByQuery))
	select {
	case <-loaded:
	case <-ctx.Done():
		p.t.Fatalf("a click on %s led nowhere", selector)
	}
}

func (p *tab) fill(selector, text string) {
	p.t.Helper()
	p.js(fmt.Sprintf("document.querySelector(%q).value = ''", selector), nil)
	p.do(chromedp.SendKeys(selector, text, chromedp.ByQuery))
}

// clean fails when anything went wrong in the tab, or was asked of another host.
func (p *tab) clean() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, problem := range p.problems {
		p.t.Errorf("in the browser: %s", problem)
	}
	for _, url := range p.foreign {
		p.t.Errorf("asked of another host: %s", url)
	}
	p.problems, p.foreign = nil, nil
}

// axe checks accessibility and returns what it found: by every rule, or by
// those about colours alone.
func (p *tab) axe(rules string) []string {
	p.t.Helper()
	var raw string
	var there bool
	if p.js("!!window.axe", &there); !there {
		p.js(axeScript+";0", nil)
	}
	p.js(`axe.run(document, {resultTypes: ["violations"], `+rules+`}).then(r => JSON.stringify(r.violations.map(v => v.id + ": " + v.help + " — " + v.nodes.slice(0, 3).map(n => n.target.join(" ") + " " + (n.any[0]?.message ?? n.all[0]?.message ?? n.none[0]?.message ?? "")).join("; "))))`, &raw)
	var found []string
	if err := json.Unmarshal([]byte(raw), &found); err != nil {
		p.t.Fatalf("axe answered %q: %v", raw, err)
	}
	return found
}

// picture is the page as an image, up to the height.
func (p *tab) picture(height float64) []byte {
	p.t.Helper()
	var image []byte
	p.do(page.BringToFront(), chromedp.ActionFunc(func(ctx context.Context) (err error) {
		_, _, _, _, _, size, err := page.GetLayoutMetrics().Do(ctx)
		if err != nil {
			return err
		}
		image, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).WithClip(&page.Viewport{Width: size.Width, Height: min(size.Height, height), Scale: 1}).Do(ctx)
		return err
	}))
	return image
}

// signIn claims the stage for its owner if need be, and signs in.
func (p *tab) signIn(s *stage) {
	p.t.Helper()
	s.claim()
	p.open(ui.PathSignIn)
	p.fill("#email", ownerEmail)
	p.fill("#password", ownerPassword)
	p.follow("button[type=submit]")
	if p.path() != ui.PathOverview {
		p.t.Fatalf("signed in and came to %s: %s", p.path(), p.text("main"))
	}
}

// settle waits until the page follows the stream, if it has one.
func (p *tab) settle() {
	p.t.Helper()
	p.until(`!document.querySelector("#live") || document.querySelector("#live").dataset.state === "live"`)
}

// check fails on what axe finds, and on a page that is wider than its window.
func (p *tab) check(what string) {
	p.t.Helper()
	p.checkBy("", what)
}

// checkColours is check of a page that another theme has passed already: the
// themes differ in colours alone.
func (p *tab) checkColours(what string) {
	p.t.Helper()
	p.checkBy(`runOnly: {type: "rule", values: ["color-contrast", "link-in-text-block"]}`, what)
}

func (p *tab) checkBy(rules, what string) {
	p.t.Helper()
	for _, found := range p.axe(rules) {
		p.t.Errorf("%s: %s", what, found)
	}
	p.fits(what)
}

// fits fails when the page must be scrolled sideways.
func (p *tab) fits(what string) {
	p.t.Helper()
	var over string
	p.js(`(() => {
		const wide = document.documentElement.clientWidth;
		if (document.documentElement.scrollWidth <= wide) return "";
		const bad = [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > wide + 1 && !e.closest(".wrap, .paste, .tabs, .sr"));
		return bad.slice(0, 3).map(e => e.tagName + "." + e.className).join(", ") || "something";
	})()`, &over)
	if over != "" {
		p.t.Errorf("%s: wider than the window: %s", what, over)
	}
}

// forget drops the browser's report of an answer that the test asked for.
func (p *tab) forget(status string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var rest []string
	for _, problem := range p.problems {
		if !strings.Contains(problem, "status of "+status) {
			rest = append(rest, problem)
		}
	}
	p.problems = rest
}
