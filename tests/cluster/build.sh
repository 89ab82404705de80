#!/usr/bin/env bash
# Builds the programs of the local cluster from pinned Go modules, once per machine, and links them at
# target/cluster/bin. Usage: build.sh [controlplane] [kwok] [helm] [mailpit]    (default: controlplane kwok)
#
# Binaries are kept in the user's cache, keyed by the hash of go.mod and go.sum, so that a fresh clone does not
# build again. With KUBEBUILDER_ASSETS set, the programs found there are used instead of built ones.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
bin=$root/target/cluster/bin
cache=${PAI_NOTIFICATION_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pai-notification}/cluster
kubernetes_version=v1.36.3

# The programs of a module, as "name package" lines.
programs_of() {
  case $1 in
    controlplane)
      echo "etcd go.etcd.io/etcd/server/v3"
      for name in kube-apiserver kube-controller-manager kube-scheduler kubectl; do
        echo "$name k8s.io/kubernetes/cmd/$name"
      done
      ;;
    kwok) echo "kwok sigs.k8s.io/kwok/cmd/kwok" ;;
    helm) echo "helm helm.sh/helm/v4/cmd/helm" ;;
    mailpit) echo "mailpit github.com/axllent/mailpit" ;;
    *)
      echo "build.sh: no module '$1': choose from controlplane, kwok, helm, mailpit" >&2
      return 1
      ;;
  esac
}

# The linker flags of a module: what the program reports as its own version.
ldflags_of() {
  local minor=${kubernetes_version#v1.}
  case $1 in
    controlplane)
      local at=k8s.io/component-base/version
      echo "-s -w -X $at.gitVersion=$kubernetes_version -X $at.gitMajor=1 -X $at.gitMinor=${minor%%.*}"
      ;;
    *) echo "-s -w" ;;
  esac
}

# Links bin/$1 to the file $2. Touches nothing when the link is right already, and replaces it in one step.
link() {
  [[ $(readlink "$bin/$1" || true) == "$2" ]] && return
  ln -s "$2" "$bin/.$1.$$"
  mv -Tf "$bin/.$1.$$" "$bin/$1"
}

# A program of the control plane that the machine brings along, if any.
given() {
  [[ $1 == controlplane && -n ${KUBEBUILDER_ASSETS:-} && -x $KUBEBUILDER_ASSETS/$2 ]] || return
  (cd "$KUBEBUILDER_ASSETS" && echo "$PWD/$2")
}

build_program() { # module, name, package, destination
  local temp
  temp=$(mktemp -d "$cache/.build.XXXXXX")
  # The lock (fd 9) stays with this shell: no child may hold it after us.
  if ! (cd "$here/$1" && GOWORK=off CGO_ENABLED=0 go build -trimpath -ldflags "$(ldflags_of "$1")" \
    -o "$temp/$2" "$3" 9>&-); then
    rm -rf "$temp"
    echo "build.sh: building $2 failed; the lines above are from 'go build $3' in tests/cluster/$1" >&2
    return 1
  fi
  mv "$temp/$2" "$4"
  rm -rf "$temp"
}

build_module() {
  local module=$1 key store name package path list number=0 count=0 started
  local -a missing=()
  list=$(programs_of "$module")
  key=$(cat "$here/$module/go.mod" "$here/$module/go.sum" | sha256sum | cut -c1-16)
  store=$cache/$module-$key
  mkdir -p "$store" "$bin"

  exec 9>"$cache/.$module.lock"
  if ! flock -n 9; then
    echo "waiting for another build of $module..."
    flock 9
  fi
  while read -r name package; do
    if path=$(given "$module" "$name"); then
      link "$name" "$path"
    elif [[ -x $store/$name ]]; then
      link "$name" "$store/$name"
    else
      missing+=("$name $package")
    fi
  done <<<"$list"

  count=${#missing[@]}
  if ((count > 0)) && ! command -v go >/dev/null; then
    echo "build.sh: Go is needed to build ${missing[*]%% *}; install Go 1.26 or newer from https://go.dev/dl" >&2
    return 1
  fi
  for entry in ${missing[@]+"${missing[@]}"}; do
    read -r name package <<<"$entry"
    number=$((number + 1))
    started=$SECONDS
    echo "building $name ($number of $count, first time only)..."
    build_program "$module" "$name" "$package" "$store/$name"
    link "$name" "$store/$name"
    echo "built $name in $((SECONDS - started)) s"
  done
  exec 9>&-
}

if (($# == 0)); then
  set -- controlplane kwok
fi
for module in "$@"; do
  programs_of "$module" >/dev/null
done
for module in "$@"; do
  build_module "$module"
done
