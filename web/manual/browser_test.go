package manual_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
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

	"gatehouse/embed/docs"
	"gatehouse/embed/openapi"
	"gatehouse/web/manual"
	"gatehouse/web/respond"
	"gatehouse/web/static"
	"gatehouse/web/ui"
)

// serve serves the manual that ships with the console's own assets.
func serve(t *testing.T) string {
	t.Helper()
	assets := static.New()
	handbook, err := manual.New(manual.Options{Pages: docs.Pages, Order: docs.Order(), OpenAPI: openapi.Document,
		BaseURL: "http://127.0.0.1:8081", Version: "0.1.0",
		Assets:  ui.Assets{CSS: assets.URL(static.CSS), Font: assets.URL(static.Font), Icon: assets.URL(static.Icon)},
		Respond: &respond.Responder{Log: slog.New(slog.DiscardHandler), Now: time.Now}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(static.Prefix, assets)
	mux.Handle("/", handbook)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// chromium opens a browser with a fresh profile.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI has no Chromium: packaging/test.sh installs it")
		}
		t.Skip("SKIPPED LOUDLY: there is no Chromium, so no page was looked at")
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.UserDataDir(profile(t)))
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	ctx, stop = context.WithTimeout(ctx, 15*time.Minute)
	t.Cleanup(stop)
	return ctx
}

// profile is an empty folder for a browser. Its processes may still write while
// they end, so whether it can be removed at once is not the test's concern.
func profile(t *testing.T) string {
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

// problems gathers what the browser complains about.
type problems struct {
	mu   sync.Mutex
	list []string
}

func (p *problems) add(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, fmt.Sprintf(format, args...))
}

func (p *problems) watch(ctx context.Context, site string) {
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *log.EventEntryAdded:
			p.add("the browser says: %s %s", e.Entry.Text, e.Entry.URL)
		case *network.EventRequestWillBeSent:
			if strings.HasPrefix(e.Request.URL, "http") && !strings.HasPrefix(e.Request.URL, site) {
				p.add("a request to %s", e.Request.URL)
			}
		}
	})
}

// axe runs the checks of accessibility; the console's tests hold the script.
const axe = `axe.run().then(r => r.violations.map(v => v.id + ": " + v.nodes.map(n => n.target.join(" ")).slice(0, 3).join(", ")))`

// TestThePagesAreAccessible looks at every page in a browser: axe finds
// nothing, nothing is refused or comes from elsewhere, nothing overflows.
func TestThePagesAreAccessible(t *testing.T) {
	script, err := os.ReadFile("../console/testdata/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	site, ctx, found := serve(t), chromium(t), &problems{}
	found.watch(ctx, site)
	run := func(actions ...chromedp.Action) {
		t.Helper()
		if err := chromedp.Run(ctx, actions...); err != nil {
			t.Fatal(err)
		}
	}
	run(network.Enable(), log.Enable(), page.SetBypassCSP(false))
	paths := []string{"/docs", "/docs/api", "/docs/decisions", "/docs/decisions/0004-huma-for-the-api"}
	for _, name := range docs.Order()[1:] {
		paths = append(paths, "/docs/"+name)
	}
	for _, look := range []struct {
		theme string
		width int64
	}{{"light", 1280}, {"dark", 390}} {
		run(emulation.SetDeviceMetricsOverride(look.width, 900, 1, false),
			emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: look.theme}}))
		for _, path := range paths {
			var violations []string
			var wide int64
			run(chromedp.Navigate(site+path), chromedp.Evaluate(string(script), nil),
				chromedp.Evaluate(axe, &violations, chromedp.EvalAsValue, awaited),
				chromedp.Evaluate("document.documentElement.scrollWidth", &wide))
			for _, violation := range violations {
				t.Errorf("%s (%s, %d px): %s", path, look.theme, look.width, violation)
			}
			if wide > look.width {
				t.Errorf("%s (%d px): %d px wide", path, look.width, wide)
			}
		}
	}
	for _, problem := range found.list {
		t.Error(problem)
	}
}

func awaited(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
