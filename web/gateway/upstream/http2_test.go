package upstream

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"gatehouse/app"
)

func h2c(s *httptest.Server) {
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
}

// TestGRPC: unary calls, statuses, metadata and streams in both directions at
// once, over h2c on both sides.
func TestGRPC(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(server, &echoService{})
	go server.Serve(listener)
	defer server.Stop()
	gate := startGate(t, gateOptions{serve: h2c, up: app.Upstream{Protocol: app.ProtocolH2C, Addresses: []string{"http://" + listener.Addr().String()}}})
	conn, err := grpc.NewClient(gate.address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := testgrpc.NewTestServiceClient(conn)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()

	var header, trailer metadata.MD
	out := metadata.AppendToOutgoingContext(ctx, "x-grpc-test-echo-initial", "first", "x-grpc-test-echo-trailing-bin", "last")
	if _, err := client.UnaryCall(out, &testgrpc.SimpleRequest{}, grpc.Header(&header), grpc.Trailer(&trailer)); err != nil {
		t.Fatal(err)
	}
	if header.Get("x-grpc-test-echo-initial")[0] != "first" || trailer.Get("x-grpc-test-echo-trailing-bin")[0] != "last" {
		t.Errorf("metadata %v, %v", header, trailer)
	}
	_, err = client.UnaryCall(ctx, &testgrpc.SimpleRequest{ResponseStatus: &testgrpc.EchoStatus{Code: 9, Message: "no ✓"}})
	if s := status.Convert(err); s.Code() != codes.FailedPrecondition || s.Message() != "no ✓" {
		t.Errorf("status %v", s)
	}
	if _, err := client.UnimplementedCall(ctx, &testgrpc.Empty{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("a trailers-only answer gave %v", err)
	}
	pingPong(t, ctx, client)
	stream, err := client.StreamingOutputCall(ctx, &testgrpc.StreamingOutputCallRequest{ResponseParameters: []*testgrpc.ResponseParameters{{Size: 1}, {Size: 100000}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 100000} {
		if m, err := stream.Recv(); err != nil || len(m.GetPayload().GetBody()) != size {
			t.Fatalf("got %d bytes, %v", len(m.GetPayload().GetBody()), err)
		}
	}
	if _, err := stream.Recv(); err != io.EOF {
		t.Errorf("the stream ends with %v", err)
	}
}

// pingPong sends a message only when the one before has been answered, and
// cancels in the middle at the end.
func pingPong(t *testing.T, ctx context.Context, client testgrpc.TestServiceClient) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int32{3, 50000, 1} {
		if err := stream.Send(&testgrpc.StreamingOutputCallRequest{ResponseParameters: []*testgrpc.ResponseParameters{{Size: size}}}); err != nil {
			t.Fatal(err)
		}
		if m, err := stream.Recv(); err != nil || len(m.GetPayload().GetBody()) != int(size) {
			t.Fatalf("got %d bytes, %v", len(m.GetPayload().GetBody()), err)
		}
	}
	cancel()
	if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("a cancelled stream gives %v", err)
	}
}

// echoService answers as its requests say.
type echoService struct {
	testgrpc.UnimplementedTestServiceServer
}

func (*echoService) UnaryCall(ctx context.Context, in *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	for _, text := range md.Get("x-grpc-test-echo-initial") {
		grpc.SetHeader(ctx, metadata.Pairs("x-grpc-test-echo-initial", text))
	}
	for _, text := range md.Get("x-grpc-test-echo-trailing-bin") {
		grpc.SetTrailer(ctx, metadata.Pairs("x-grpc-test-echo-trailing-bin", text))
	}
	if s := in.GetResponseStatus(); s != nil {
		return nil, status.Error(codes.Code(s.Code), s.Message)
	}
	return &testgrpc.SimpleResponse{}, nil
}

func (*echoService) StreamingOutputCall(in *testgrpc.StreamingOutputCallRequest, stream grpc.ServerStreamingServer[testgrpc.StreamingOutputCallResponse]) error {
	for _, p := range in.GetResponseParameters() {
		if err := stream.Send(&testgrpc.StreamingOutputCallResponse{Payload: &testgrpc.Payload{Body: make([]byte, p.Size)}}); err != nil {
			return err
		}
	}
	return nil
}

func (*echoService) FullDuplexCall(stream grpc.BidiStreamingServer[testgrpc.StreamingOutputCallRequest, testgrpc.StreamingOutputCallResponse]) error {
	for {
		in, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := stream.Send(&testgrpc.StreamingOutputCallResponse{Payload: &testgrpc.Payload{Body: make([]byte, in.ResponseParameters[0].Size)}}); err != nil {
			return err
		}
	}
}

// TestHTTP2BothSides: TLS with HTTP/2 to the client and to the upstream; a
// broken answer is a reset stream, a whole one has its trailers.
func TestHTTP2BothSides(t *testing.T) {
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Proto", r.Proto)
		w.Header().Set("X-Seen", r.Header.Get("X-Forwarded-Proto")+" "+r.RequestURI)
		http.NewResponseController(w).EnableFullDuplex()
		io.Copy(w, r.Body)
		w.(http.Flusher).Flush()
		if r.URL.Path == "/broken" {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set(http.TrailerPrefix+"X-Sum", "7")
	}))
	up.EnableHTTP2 = true
	up.Config.ErrorLog = quietLog()
	up.StartTLS()
	defer up.Close()
	for _, protocol := range []app.Protocol{app.ProtocolAuto, app.ProtocolH2, app.ProtocolHTTP} {
		gate := startGate(t, gateOptions{up: app.Upstream{Protocol: protocol, Addresses: []string{up.URL}, InsecureSkipVerify: true},
			serve: func(s *httptest.Server) {
				s.EnableHTTP2 = true
				s.StartTLS()
			}})
		client := gate.server.Client()
		answer, err := client.Post(gate.server.URL+"/a%2Fb?x=1", "text/plain", io.LimitReader(endlessX{}, 200000))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil || len(body) != 200000 || answer.Trailer.Get("X-Sum") != "7" || answer.ProtoMajor != 2 {
			t.Errorf("%s: %d bytes, %v, trailer %v over %s", protocol, len(body), err, answer.Trailer, answer.Proto)
		}
		want := "HTTP/2.0"
		if protocol == app.ProtocolHTTP {
			want = "HTTP/1.1"
		}
		if answer.Header.Get("X-Proto") != want || answer.Header.Get("X-Seen") != "https /a%2Fb?x=1" {
			t.Errorf("%s: the upstream saw %q, %q", protocol, answer.Header.Get("X-Proto"), answer.Header.Get("X-Seen"))
		}
		answer, err = client.Post(gate.server.URL+"/broken", "text/plain", strings.NewReader("half"))
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(answer.Body); err == nil || string(body) != "half" {
			t.Errorf("%s: a broken answer reads as %q, %v", protocol, body, err)
		}
	}
}

// TestSlowTLS: over TLS, too, an answer may take longer than the patience.
func TestSlowTLS(t *testing.T) {
	up := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(3 * patience)
		io.WriteString(w, "late")
	}))
	defer up.Close()
	gate := startGate(t, gateOptions{up: app.Upstream{Protocol: app.ProtocolHTTP, Addresses: []string{up.URL}, InsecureSkipVerify: true}})
	for range 3 {
		if g := exchangeRaw(t, gate.address(), get); g.status != 200 || g.body != "late" {
			t.Errorf("answer %d %q", g.status, g.body)
		}
		<-gate.done
	}
	if s := gate.pool.Status()[0]; s.Idle != 1 || s.Failures != 0 {
		t.Errorf("status %+v", s)
	}
}

type endlessX struct{}

func (endlessX) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// TestPlainUpstreamForHTTP2Client: the direct path serves an HTTP/2 client, and
// a broken answer is a reset stream there, too.
func TestPlainUpstreamForHTTP2Client(t *testing.T) {
	up := startRaw(t, func(_ int, c net.Conn, r *http.Request) {
		if r.URL.Path == "/broken" {
			lastWords("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")(0, c, r)
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nX-Sum: 7\r\n\r\n")
	})
	gate := startGate(t, gateOptions{serve: h2c, up: app.Upstream{Addresses: []string{up.url}}})
	transport := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{}}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport}
	for path, whole := range map[string]bool{"/": true, "/broken": false} {
		answer, err := client.Get(gate.server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		if (err == nil) != whole || string(body) != "half" || (whole && answer.Trailer.Get("X-Sum") != "7") || answer.ProtoMajor != 2 {
			t.Errorf("%s reads as %q, %v, %v", path, body, err, answer.Trailer)
		}
	}
}
