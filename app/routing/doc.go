// Package routing decides which route a request takes, and keeps the routes
// and upstreams that say so.
//
// # What a path is
//
// Apps read a path in different ways: one sees /a%2Fb as a name under the
// root, another as b under a; Express takes /ADMIN for /admin, Tomcat takes
// /admin;x=1 for /admin, Windows takes /admin. for it. A gate that reads it in
// one way alone lets a caller choose a route with weaker rules than those of
// the page that the app then serves. So each path is read twice:
//
//   - strictly: cut at each /, then each segment percent-decoded once. What
//     %2F stands for is part of its segment, // is an empty segment.
//   - loosely, as the most forgiving app would: decoded twice, \ is /, letters
//     are lower case, what follows ; ? or # in a segment is left out, and so
//     are dots and spaces at its end, and empty segments.
//
// The route is what both readings agree on. Where they name two routes, the
// request is refused with 400 path_ambiguous. A closed path is closed when
// either reading hits it.
//
// Refused with 400 whatever the routes: a malformed percent-encoding or a
// control character (path_malformed), and a segment of dots alone in the loose
// reading, such as .. or %2e%2e or ..;x (path_dots).
//
// Everything else is forwarded as the client sent it: /files/a%2Fb, //x,
// /a;v=1 and /Readme. pass unchanged when no other route or closed path is
// near enough to be mistaken.
package routing
