package console

import (
	"gatehouse/app"
	"gatehouse/web/ui"
)

// costsOf says what calls on the route cost the operator.
func costsOf(r app.Route) []capRow {
	rows := []capRow{{What: "A request", Value: "Nothing", Note: "drawn from budgets"}}
	if r.Cost > 0 {
		rows[0].Value = ui.Dollars(int64(r.Cost))
	}
	if r.Egress == nil {
		return rows
	}
	rows = append(rows, capRow{What: "Paid API", Value: egressWords(r), Note: "the app's own calls, for the organization that it names"})
	clamp := "Refused"
	if r.Egress.Clamp {
		clamp = "Shortened to what is left"
	}
	rows = append(rows, capRow{What: "Beyond a budget", Value: clamp})
	if r.Egress.MaxOutput > 0 {
		rows = append(rows, capRow{What: "Output reserved", Value: ui.Count(r.Egress.MaxOutput) + " tokens", Note: "where neither the call nor the price list says"})
	}
	return rows
}

// egressWords names the language of the paid API that a route calls.
func egressWords(r app.Route) string {
	if r.Egress == nil {
		return ""
	}
	switch r.Egress.API {
	case app.EgressOpenAI:
		return "OpenAI"
	case app.EgressAnthropic:
		return "Anthropic"
	}
	return "HTTP"
}

// routeCost is what the list of routes says of cost.
func routeCost(r app.Route) string {
	cost := ""
	if r.Cost > 0 {
		cost = ui.Dollars(int64(r.Cost)) + " each"
	} else if r.Egress != nil && r.Egress.API != app.EgressHTTP {
		cost = "by tokens"
	}
	return orText(cost, ui.Dash)
}

// credentialOf says which secret is put into requests, never the secret.
func credentialOf(u app.Upstream) string {
	if u.Credential == nil {
		return ""
	}
	text := u.Credential.Header
	if u.Credential.Hint != "" {
		text += " …" + u.Credential.Hint
	}
	return text
}

func credentialRow(u app.Upstream) capRow {
	if u.Credential == nil {
		return capRow{What: "Credential", Value: "The caller's"}
	}
	return capRow{What: "Credential", Value: credentialOf(u), Note: "in place of the caller's; kept sealed"}
}
