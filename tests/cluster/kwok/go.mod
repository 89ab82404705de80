// The simulated kubelet that the tests and the demo run, pinned. Built by ../build.sh.
module pai-notification/tests/cluster/kwok

go 1.26.0

tool sigs.k8s.io/kwok/cmd/kwok

require sigs.k8s.io/kwok v0.8.0
