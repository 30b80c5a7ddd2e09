//go:build unix

package storetest

import (
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// account is whom a server runs as: PostgreSQL refuses to run as root.
type account struct {
	uid, gid uint32
	change   bool
}

// unprivileged is this user, or for root the user postgres, or nobody.
func unprivileged() account {
	if os.Getuid() != 0 {
		return account{}
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(found.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(found.Gid, 10, 32)
		if errUID == nil && errGID == nil {
			return account{uint32(uid), uint32(gid), true}
		}
	}
	return account{}
}

// apply makes the command run as the account, away from the terminal's group.
func (a account) apply(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if a.change {
		command.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
		command.Env = append(os.Environ(), "HOME=/nonexistent")
	}
}

// own gives the folder to the account.
func (a account) own(dir string) error {
	if !a.change {
		return nil
	}
	return os.Chown(dir, int(a.uid), int(a.gid))
}
