// @ts-check
// Sends requests to the server. A refusal throws an error with the reason.

/** @typedef {import('./paths.d.ts').components['schemas']} Schemas */

/**
 * @overload
 * @param {'POST'} method
 * @param {'/chat'} path
 * @param {Schemas['NewMessage']} body
 * @returns {Promise<void>}
 */
/**
 * @overload
 * @param {'POST'} method
 * @param {'/jobs'} path
 * @param {Schemas['NewJob']} body
 * @returns {Promise<void>}
 */
/**
 * @overload
 * @param {'DELETE'} method
 * @param {`/jobs/${string}`} path
 * @returns {Promise<void>}
 */
/**
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 */
export async function request(method, path, body) {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(path, { method, ...(body && { headers, body: JSON.stringify(body) }) });
  if (response.ok) return;
  const problem = await response.json().catch(() => ({}));
  const faults = (problem.errors ?? []).map((/** @type {{ detail?: string }} */ fault) => fault.detail).join(', ');
  throw Object.assign(new Error(faults || problem.detail || problem.title || response.statusText), { status: response.status });
}

/**
 * Shows an error until an attempt succeeds.
 * @param {any} element
 * @param {() => Promise<void>} act
 */
export async function attempt(element, act) {
  try {
    await act();
    element.hidden = true;
  } catch (caught) {
    const error = /** @type {Error & { status?: number }} */ (caught);
    element.textContent = error.status ? error.message : 'The server cannot be reached at the moment.';
    element.hidden = false;
  }
}
