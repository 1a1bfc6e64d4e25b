# PID 1 of a node. What has to happen inside of its namespaces, and nothing more: the files that it hands to the
# daemons are written outside, before.
#
# Environment: NODE its name · NODE_DIR its folder · CLUSTER_DIR the cluster's folder · PATH with all programs
set -eu

# Children of the kubelet see mounts that are made later, and this machine does not see ours.
mount --make-rprivate /
mount --make-rshared /
hostname "$NODE"

# A reboot empties /run: containerd's state, leases of pod addresses and the namespaces of pods are gone, as they
# should be. What is in /var stays: images, volumes. Both hide the machine's own.
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns /run/lock
# A real directory, because containerd cannot put its overlays onto another overlay.
mount --bind "$NODE_DIR/var" /var

# Per network namespace. Without the second, the answer of a Service's pod on this same node is bridged past
# conntrack, comes from the wrong address and is dropped.
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables

log() { exec >> "$NODE_DIR/$1.log" 2>&1 < /dev/null; }

(log containerd; exec containerd --config "$NODE_DIR/containerd.toml") &
until [ -S /run/containerd/containerd.sock ]; do sleep 0.02; done

# Images that this node does not have, or not in their present version, oldest first.
for archive in $(ls -tr "$CLUSTER_DIR"/images/*.tar); do
    mark=/var/lib/imported/${archive##*/}
    [ "$mark" -nt "$archive" ] && continue
    (log import; exec ctr --namespace k8s.io images import --digests=false --local "$archive") && touch "$mark" ||
        echo "$archive was refused; import.log says why"
done

(log kubelet; exec kubelet --config "$NODE_DIR/kubelet.json" --kubeconfig "$CLUSTER_DIR/pki/$NODE.kubeconfig" \
    --hostname-override "$NODE" --node-ip "$NODE_IP" --root-dir /var/lib/kubelet) &
(log kube-proxy; exec kube-proxy --config "$NODE_DIR/kube-proxy.json") &

# It reaps what pods leave behind. A daemon that ends is not started again: a node that limps is a fault to be seen.
wait -n || true
echo "a daemon ended; its log says why"
while :; do wait || true; sleep 1; done
