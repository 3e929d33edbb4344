// npm `@microsoft/fetch-event-source`, which is made for pages and requires a `window` and a `document`.
globalThis.window = globalThis;
globalThis.document = new EventTarget();
const { fetchEventSource } = await import('@microsoft/fetch-event-source');
const { tell } = await import('./tell.mjs');

class Finished extends Error {}

try {
  await fetchEventSource(process.argv[2], {
    openWhenHidden: true,
    async onopen(response) {
      if (response.status === 204) throw new Finished('204');
      if (response.status !== 200) throw new Error(`status ${response.status}`);
    },
    onmessage: ({ event, id, data }) => tell({ event, id, data }),
    // Without these two, it would not reconnect after the end of a stream, and would reconnect after a 204 again and again.
    onclose() { throw new Error('the server has closed the connection'); },
    onerror(error) {
      if (error instanceof Finished) throw error;
      tell({ error: String(error) });
    },
  });
} catch (error) {
  tell({ closed: String(error) });
}
