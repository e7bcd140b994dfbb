# The two commands of the README, and what else one types often.
.PHONY: demo test build-tests smoke smoke-kvm kubernetes bench bench-kubernetes check tools

demo:
	sh scripts/demo.sh

test:
	sh scripts/test.sh

# What the tests begin with: the code as it should be written, and the tests themselves.
build-tests:
	cargo fmt --check
	cargo clippy --quiet --all-targets -- -D warnings
	cargo test --quiet --no-run
	cargo test --quiet --no-run --test session_lab --test traces

# The nodes' playbooks on virtual machines with kernels of their own; what was said goes to target/smoke.
smoke:
	sh scripts/smoke.sh

# The same with KVM in place of emulation, on a machine without KVM too; half an hour.
smoke-kvm:
	sh scripts/smoke-kvm.sh

# The tests that need a real API server; the first time it is built, which takes a quarter of an hour.
kubernetes:
	sh scripts/kubernetes.sh

# Timings beside a hand-written script, Ansible and Mitogen; raw numbers go to bench-results/.
bench:
	sh scripts/bench.sh

# The same for Kubernetes tasks, beside Ansible.
bench-kubernetes:
	sh scripts/bench-kubernetes.sh

check:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --quiet

tools:
	sh scripts/tools.sh
