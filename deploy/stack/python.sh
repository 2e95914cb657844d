# Finds a Python that can run the stack and hands over to deploy/stack/launch.py. Sourced by deploy/up, down, test and bench.
# Asked by running each candidate: a name on the PATH may be a shim with nothing behind it.

find_python() {
    local candidate
    # One that was named is the only one asked.
    for candidate in ${C2A_PYTHON:-python3.12 python3.11 python3 python python3.13}; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "deploy: needs Python 3.11 or 3.12 on the PATH (3.13 with redis-server), or C2A_PYTHON=/path/to/it" >&2
    return 1
}

launch() {
    local python
    python=$(find_python) || exit 1
    exec "$python" -m deploy.stack.launch "$@"
}
