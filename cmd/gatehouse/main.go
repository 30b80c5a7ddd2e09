// Command gatehouse is one binary in front of an app: it identifies, limits,
// counts and forwards the app's traffic, and serves its own console and API.
package main

func main() {}
