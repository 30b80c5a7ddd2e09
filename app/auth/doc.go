// Package auth signs people in: operators to the console (claim, password,
// one-time link, session) and, for the gateway, users of the operator's app
// whom that app has signed in itself.
//
// # How sign-in is guarded
//
// The answer and its time are the same whether or not the account exists: an
// unknown address costs one argon2id like a known one. Attempts are counted
// before the password is looked at, so attempts at once cannot pass the bound
// together, and whether they succeed or not:
//
//   - per address 5 a minute, and a blocked one stays blocked for 5 minutes
//     (IPv6 by /64);
//   - per account and address 10 an hour, against a slow guesser;
//   - per account 100 an hour from all unknown browsers together, against many
//     addresses: 2,400 guesses a day at a password that is not a common one.
//
// The last bound would let a stranger lock the owner out. So a browser that has
// signed in keeps a device token, and attempts with it are counted apart, 10 in
// 15 minutes, whatever strangers do; nor does its address matter, which a
// neighbour behind the same NAT may have used up. Whoever has no such browser
// left makes a one-time link on the machine (gatehouse operator link), which no
// counter stops.
//
// The counters are shared over replicas (Redis). While those are away, each
// process counts for itself: sign-in neither stops nor opens.
package auth
