# Sourced by the scripts that run tests: a lab for them, and their count.

# Builds the program, and makes a lab that ends with the script: `lab`, by `vmstation`.
make_lab() {
    # Not `cargo build`: what tests depend on has other features, and all of it would be built twice.
    cargo test --quiet --no-run --test cases
    lab=$1-$$
    shift
    vmstation="$PWD/target/debug/vmstation"
    trap end_lab EXIT
    trap 'exit 130' INT TERM
    "$vmstation" lab --name "$lab" up "$@" >/dev/null
}

end_lab() {
    "$vmstation" lab --name "$lab" down >/dev/null 2>&1 || true
}

# Runs a command whose failure is counted below, and does not end the script.
attempt() {
    "$@" 2>&1 || echo "error: exit $?"
}

# Runs what is named, shows what it prints, and ends with the count of tests. Fails if one has failed.
counted() {
    out=$(mktemp)
    "$@" | tee "$out"
    status=0
    if grep -q -e '^test result: FAILED' -e '^error' "$out"; then status=1; fi
    awk '/^test result:/ { passed += $4; failed += $6; skipped += $8 }
         END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$out"
    rm -f "$out"
    return "$status"
}
