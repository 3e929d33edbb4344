// Prints everything that the client sees of a stream. The tests of Helios run it in Node and in a page.
import { createClient } from '../dist/index.js';

/** A stream with `?method=` is opened with that, and resumed all the same. */
export async function follow(url, tell, options) {
  const { origin, pathname, search, searchParams } = new URL(url);
  const api = createClient({ baseUrl: origin, ...options });
  const method = searchParams.get('method');
  const onState = (state, error) => {
    if (state === 'waiting' && error) tell({ error: `${error}, ${error.cause ?? ''}` });
    if (state === 'open' && method) tell({ event: 'open', data: '' });
  };
  const request = method ? { method, body: 'a body', reconnect: true } : {};
  try {
    for await (const { event, data, lastEventId } of api.events(pathname + search, { ...request, onState })) {
      tell({ event, id: lastEventId, data: typeof data === 'string' ? data : JSON.stringify(data) });
    }
    tell({ closed: 'the stream is over' });
  } catch (error) {
    tell({ closed: String(error) });
  }
}
