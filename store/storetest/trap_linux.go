package storetest

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A filter of seccomp (seccomp(2), seccomp_unotify(2)) stops each write and
// sync of a process until the test has answered. It needs no right: a thread of
// the test puts itself under the filter, starts the process, which inherits it,
// and ends.

// trapped is a system call that waits for its answer.
type trapped struct {
	thread         uint32
	fd             uint64
	write          bool // else a sync
	offset, length int64
	memory         uint64 // of the process: where what it writes stands
}

// reply answers a call: the kernel does it, or it returns a value or fails.
type reply struct {
	through bool
	value   int64
	failure syscall.Errno
}

// content is what the process wants to write.
func (c trapped) content() ([]byte, error) {
	content := make([]byte, c.length)
	local := []unix.Iovec{{Base: &content[0]}}
	local[0].SetLen(len(content))
	n, err := unix.ProcessVMReadv(int(c.thread), local, []unix.RemoteIovec{{Base: uintptr(c.memory), Len: len(content)}}, 0)
	if err == nil && n < len(content) {
		err = errors.New("half of what a process writes cannot be read")
	}
	return content, err
}

// architectures are AUDIT_ARCH_* of what the filter can read.
var architectures = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// canTrap says why the kernel does not let this process do it: it is too old,
// or a sandbox forbids it.
func canTrap() error {
	if architectures[runtime.GOARCH] == 0 {
		return errors.New("not on " + runtime.GOARCH)
	}
	action := uint32(unix.SECCOMP_RET_USER_NOTIF)
	_, _, no := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action)))
	if no != 0 {
		return no
	}
	mine := [1]byte{1}
	c := trapped{thread: uint32(unix.Getpid()), memory: uint64(uintptr(unsafe.Pointer(&mine))), length: 1}
	if _, err := c.content(); err != nil {
		return fmt.Errorf("read the memory of a process: %w", err)
	}
	runtime.KeepAlive(&mine)
	refused := make(chan error)
	go func() {
		runtime.LockOSThread() // as in startTrapped
		listener, err := trapThisThread()
		if err == nil {
			err = unix.Close(listener)
		}
		refused <- err
	}()
	return <-refused
}

// startTrapped starts the command under the filter, and returns where its
// calls are heard.
func startTrapped(cmd *exec.Cmd) (listener int, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for ever: the thread ends with this goroutine, and never runs another one
		if listener, err = trapThisThread(); err == nil {
			err = cmd.Start()
		}
	}()
	<-done
	return listener, err
}

// seccomp_data: the call's number, the architecture, the instruction, and six
// arguments of eight bytes.
const dataNumber, dataArchitecture = 0, 4

func trapThisThread() (listener int, err error) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("no new privileges: %w", err)
	}
	load, equal := uint16(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS), uint16(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K)
	answer := uint16(unix.BPF_RET | unix.BPF_K)
	filter := []unix.SockFilter{
		{Code: load, K: dataArchitecture},
		{Code: equal, K: architectures[runtime.GOARCH], Jf: 4},
		{Code: load, K: dataNumber},
		{Code: equal, K: unix.SYS_PWRITE64, Jt: 3},
		{Code: equal, K: unix.SYS_FSYNC, Jt: 2},
		{Code: equal, K: unix.SYS_FDATASYNC, Jt: 1},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
		{Code: answer, K: unix.SECCOMP_RET_USER_NOTIF},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	fd, _, no := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&program)))
	if no != 0 {
		return 0, fmt.Errorf("listen to system calls: %w", no)
	}
	return int(fd), nil
}

// struct seccomp_notif and struct seccomp_notif_resp of linux/seccomp.h.
type notice struct {
	id            uint64
	thread, flags uint32
	number        int32
	architecture  uint32
	instruction   uint64
	arguments     [6]uint64
}

type verdict struct {
	id    uint64
	value int64
	no    int32 // of the error, negative
	flags uint32
}

// answerTraps answers calls until it is over and nobody waits. The kernel tells
// that nobody is left only when the thread of startTrapped is gone too, which
// the runtime keeps if it is the process's first.
func answerTraps(listener int, answer func(trapped) reply, over *atomic.Bool) {
	const milliseconds = 20
	for {
		ready, ending := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}, over.Load()
		if n, _ := unix.Poll(ready, milliseconds); n <= 0 && !ending {
			continue
		}
		if ready[0].Revents&unix.POLLIN == 0 {
			return
		}
		var n notice
		if ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)) != 0 {
			continue // the caller was killed, or heard a signal and calls again
		}
		r := answer(n.call())
		v := verdict{id: n.id, value: r.value, no: -int32(r.failure)}
		if r.through {
			v.flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
		}
		ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&v)) // fails when the caller was killed
	}
}

func (n *notice) call() trapped {
	c := trapped{thread: n.thread, fd: n.arguments[0]}
	if n.number == unix.SYS_PWRITE64 {
		c.write, c.memory, c.length, c.offset = true, n.arguments[1], int64(n.arguments[2]), int64(n.arguments[3])
	}
	return c
}

func ioctl(fd int, request uintptr, argument unsafe.Pointer) syscall.Errno {
	_, _, no := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(argument))
	return no
}
