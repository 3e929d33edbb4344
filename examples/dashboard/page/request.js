// Requests to the server. A refusal is an error that says why.

export async function request(method, path, body) {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(path, { method, ...(body && { headers, body: JSON.stringify(body) }) });
  if (response.ok) return;
  const problem = await response.json().catch(() => ({}));
  const faults = (problem.errors ?? []).map(fault => fault.detail).join(', ');
  throw Object.assign(new Error(faults || problem.detail || problem.title || response.statusText), { status: response.status });
}

// Shows what went wrong, until something goes well.
export async function attempt(element, act) {
  try {
    await act();
    element.hidden = true;
  } catch (error) {
    element.textContent = error.status ? error.message : 'The server cannot be reached at the moment.';
    element.hidden = false;
  }
}
