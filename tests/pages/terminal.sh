# What a reader's terminals do: whatever goes on until it is ended gets a window of its own, and is waited for
# until it says that it is ready. Sourced before a page's blocks; everything ends with the shell.
trap 'kill $(jobs -p) 2>/dev/null || true; wait || true' EXIT
windows=0

in_window() { # in_window WORDS PROGRAM...: starts it, and returns when it has printed WORDS
  local words=$1 log process
  shift
  windows=$((windows + 1))
  log=.window-$windows
  env PYTHONUNBUFFERED=1 "$@" >"$log" 2>&1 </dev/null &
  process=$!
  until grep -q -- "$words" "$log"; do
    kill -0 "$process" || { cat "$log"; return 1; }
    sleep 0.1
  done
  sleep 0.2
  cat "$log"
}

published() { sha256sum model_repository/manifest.json 2>/dev/null || true; }

infmap-kit() {
  case " $* " in
    " serve "*)
      in_window Ready infmap-kit "$@"
      served=.window-$windows
      ;;
    " view "*" --export "*) command infmap-kit "$@" ;;
    " view "*) in_window http: infmap-kit "$@" ;;
    *)
      local before takeovers
      before=$(published)
      takeovers=$(grep -c "has taken over" "${served:-/dev/null}" || true)
      command infmap-kit "$@" || return
      # As whoever looks at the server's window does, before asking about the new release.
      if [ -n "${served:-}" ] && [ "$(published)" != "$before" ]; then
        until [ "$(grep -c "has taken over" "$served" || true)" -gt "$takeovers" ]; do sleep 0.1; done
      fi
      ;;
  esac
}

infmap-annotate() {
  case $1 in
    serve) in_window http: infmap-annotate "$@" ;;
    *) command infmap-annotate "$@" ;;
  esac
}
