/**
 * Talking to the server: headers, refusals, and trying again.
 *
 * A decision that could not be delivered is never dropped: it is tried again until the server took it or
 * refused it for a reason. Each carries a key, so that one sent twice is counted once.
 */

/** The server answered, and said no. */
export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Nobody answered. */
export class Unreachable extends Error {}

const PATIENCE_MS = 20_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8_000;

/** Ask once. Throws `Refused` or `Unreachable`. */
export async function call(method, path, { json, body, type } = {}) {
  const headers = { "X-Infmap": "1" };
  if (json !== undefined) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(json);
  } else if (type) {
    headers["Content-Type"] = type;
  }
  let response;
  try {
    response = await fetch(path, {
      method, headers, body, cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch (error) {
    throw new Unreachable("The server does not answer.", { cause: error });
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response) {
  const { error } = await response.json().catch(() => ({}));
  return new Refused(
    response.status,
    error?.code ?? `http-${response.status}`,
    error?.message ?? `The server answered ${response.status} ${response.statusText}.`,
  );
}

/** `call`, and the answer's JSON. */
export async function ask(method, path, options) {
  const response = await call(method, path, options);
  try {
    return await response.json();
  } catch (error) {
    throw new Unreachable("The server's answer broke off.", { cause: error });
  }
}

/**
 * Try until it is delivered.
 *
 * @param attempt what to do; its `Refused` below 500 (but 401) are final and thrown
 * @param trouble `waiting({ signedOut, message })` is called before each wait; `over()` once delivered
 */
export async function deliver(attempt, trouble) {
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
    try {
      const answer = await attempt();
      trouble.over();
      return answer;
    } catch (error) {
      const signedOut = error.status === 401;
      const passing = error instanceof Unreachable || error.status >= 500 || signedOut;
      if (!passing) {
        trouble.over();
        throw error;
      }
      trouble.waiting({ signedOut, message: error.message });
      await nextTry(wait);
    }
  }
}

let wake = () => {};

/** Try now, whoever waits. */
export function tryNow() {
  wake();
}

function nextTry(wait) {
  return new Promise((resolve) => {
    const timer = setTimeout(done, wait);
    function done() {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      window.removeEventListener("focus", done);
      resolve();
    }
    wake = done;
    window.addEventListener("online", done);
    window.addEventListener("focus", done);
  });
}

/** A random id: of a tab, or of a decision. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** This tab, for as long as it lives. */
export function tabId() {
  return (sessionStorage["infmap.tab"] ??= randomId());
}
