/** The server: all URLs are relative to the page, which does not know its path prefix. */

const GIVE_UP_MS = 20_000;
export const TOKEN = new URLSearchParams(location.search).get("access_token");
/** Access token of a private mosaic; its tiles have it in their URL. */
const headers = TOKEN ? { Authorization: `Bearer ${TOKEN}` } : {};

export async function refusal(response) {
  const body = await response.json().catch(() => null);
  const detail = body?.detail ?? body?.message ?? `the server answered ${response.status}`;
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  return Object.assign(new Error(String(detail)), { status: response.status, retryAfter });
}

export async function ask(path, signal) {
  const ends = AbortSignal.any([AbortSignal.timeout(GIVE_UP_MS), signal].filter(Boolean));
  const response = await fetch(path, { signal: ends, cache: "no-store", headers });
  if (!response.ok) throw await refusal(response);
  return response.status === 204 ? null : response.json();
}

/** Send JSON; returns the answer's, null of an empty one. `token` is one that may write. */
export async function send(method, path, body, { token, type = "application/json" } = {}) {
  const credential = token ? { Authorization: `Bearer ${token}` } : headers;
  const how = { method, body: JSON.stringify(body), headers: { ...credential, "Content-Type": type } };
  const response = await fetch(path, { ...how, signal: AbortSignal.timeout(GIVE_UP_MS) });
  if (!response.ok) throw await refusal(response);
  return response.status === 204 ? null : response.json();
}

/** Whether an error may pass: no response, or one that asks to retry. */
export const passes = (error) => !error.status || error.status === 429 || error.status > 500;

const recovery = new EventTarget();

/** End all waits for the server. */
export const recovered = () => recovery.dispatchEvent(new Event("recovered"));

/** Wait some time, or less if the server is found to be back. */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const done = () => (signal.aborted ? reject(signal.reason) : resolve());
    setTimeout(done, ms);
    recovery.addEventListener("recovered", done, { once: true, signal });
    signal.addEventListener("abort", done, { once: true });
  });
}
