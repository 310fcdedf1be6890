// A driver over libcni, the library most container runtimes attach with: what
// it adds Ignite can remove and the other way round, and both at once.
//
//	libcni-driver add|check|del CONFLIST CONTAINER NETNS IFNAME
//	libcni-driver cycle CONFLIST PREFIX NETNS COUNT     ADD and DEL, one after the other
//
// CAP_ARGS (JSON) and CNI_ARGS (KEY=VALUE;...) are read as CNI's own tool does;
// plugins are searched in CNI_PATH. Results go to standard output.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containernetworking/cni/libcni"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 5 {
		return errors.New("usage: libcni-driver add|check|del CONFLIST CONTAINER NETNS IFNAME | cycle CONFLIST PREFIX NETNS COUNT")
	}
	network, err := libcni.ConfListFromFile(args[1])
	if err != nil {
		return err
	}
	cni := libcni.NewCNIConfig(filepath.SplitList(os.Getenv("CNI_PATH")), nil)
	if args[0] == "cycle" {
		return cycle(cni, network, args[2], args[3], args[4])
	}
	attachment, err := asked(args[2], args[3], args[4])
	if err != nil {
		return err
	}
	return once(cni, network, args[0], attachment)
}

func once(cni *libcni.CNIConfig, network *libcni.NetworkConfigList, verb string, attachment *libcni.RuntimeConf) error {
	background := context.Background()
	switch verb {
	case "add":
		result, err := cni.AddNetworkList(background, network, attachment)
		if err != nil {
			return err
		}
		return result.PrintTo(os.Stdout)
	case "check":
		return cni.CheckNetworkList(background, network, attachment)
	case "del":
		return cni.DelNetworkList(background, network, attachment)
	}
	return fmt.Errorf("no such verb: %s", verb)
}

func cycle(cni *libcni.CNIConfig, network *libcni.NetworkConfigList, prefix, netns, count string) error {
	times, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	for number := 0; number < times; number++ {
		name := prefix + "-" + strconv.Itoa(number)
		attachment, err := asked(name, netns, "e"+strconv.Itoa(number))
		if err != nil {
			return err
		}
		for _, verb := range []string{"add", "del"} {
			if err := once(cni, network, verb, attachment); err != nil {
				return fmt.Errorf("%s of %s: %w", verb, name, err)
			}
		}
	}
	return nil
}

func asked(container, netns, ifname string) (*libcni.RuntimeConf, error) {
	attachment := &libcni.RuntimeConf{ContainerID: container, NetNS: netns, IfName: ifname}
	if text := os.Getenv("CAP_ARGS"); text != "" {
		if err := json.Unmarshal([]byte(text), &attachment.CapabilityArgs); err != nil {
			return nil, err
		}
	}
	for _, pair := range strings.Split(os.Getenv("CNI_ARGS"), ";") {
		key, value, found := strings.Cut(pair, "=")
		if found {
			attachment.Args = append(attachment.Args, [2]string{key, value})
		}
	}
	return attachment, nil
}
