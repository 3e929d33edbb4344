// `tsc --strict` checks this file, and nothing runs it. Each mistake below must be an error, and nothing else may be one.
import { createClient, HeliosError, type Problem, type Reset, type StreamEvent } from '../src/index.js';
import { useEvents } from '../src/react.js';
import type { paths } from './paths.js';

const api = createClient<paths>({ baseUrl: 'https://example.org', headers: () => ({ authorization: 'Bearer x' }) });

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false;
function is<A, B>(_: Same<A, B>) {}

export async function rooms() {
  for await (const e of api.events('/rooms/{room}', { path: { room: 'tea' }, query: { name: 'ann', tags: ['a'] } })) {
    is<typeof e.lastEventId, string>(true);
    is<typeof e.event, 'said' | 'people' | 'error' | `helios:${'ready' | 'reset' | 'reconnect' | 'overloaded' | 'end'}`>(true);
    if (e.event === 'said') is<typeof e.data, { id: number; name: string; text: string }>(true);
    if (e.event === 'people') is<typeof e.data, string[]>(true);
    if (e.event === 'helios:ready') is<typeof e.data.resumed, boolean>(true);
    if (e.event === 'helios:reset') is<typeof e.data.topics, string[]>(true);
    if (e.event === 'error') is<typeof e.data.detail, string | undefined>(true);
    // @ts-expect-error: no such event
    if (e.event === 'sayed') return;
    // @ts-expect-error: not of every event
    e.data.text;
    // @ts-expect-error: no such field
    if (e.event === 'said') e.data.txt;
  }
}

export async function jobs() {
  const { signal } = new AbortController();
  const all = { path: { job: '7' }, lastEventId: '3', signal, text: ['log'], idle: 0, reconnect: true } as const;
  for await (const e of api.events('/jobs/{job}/progress', { ...all, onState: state => state === 'open' })) {
    if (e.event === 'progress') is<typeof e.data.done, number>(true);
  }
}

export async function dashboard() {
  api.events('/dashboard');
  api.events('/dashboard', { query: { every: 5 } });
  api.events('/dashboard', { method: 'get' });
}

export async function plain() {
  const answers = api.events('/oracle/answers', { method: 'post', body: { text: 'where' }, text: ['message'] });
  for await (const e of answers) {
    is<typeof e, StreamEvent<'message', string> | Reset>(true);
    if (e.event === 'message') is<typeof e.data, string>(true);
  }
  for await (const e of api.events('/anything')) is<typeof e, StreamEvent>(true);
}

export async function mistakes() {
  // @ts-expect-error: no such path
  api.events('/room/{room}', { path: { room: 'tea' } });
  // @ts-expect-error: no stream
  api.events('/reports');
  // @ts-expect-error: the path has a parameter
  api.events('/jobs/{job}/progress');
  // @ts-expect-error: it has another name
  api.events('/jobs/{job}/progress', { path: { jobs: '7' } });
  // @ts-expect-error: a parameter of the query is required
  api.events('/rooms/{room}', { path: { room: 'tea' } });
  // @ts-expect-error: it is a number
  api.events('/dashboard', { query: { every: 'second' } });
  // @ts-expect-error: the id is an option, which moves on with the stream
  api.events('/dashboard', { header: { 'Last-Event-ID': '7' } });
  // @ts-expect-error: there is no such parameter
  api.events('/dashboard', { query: { evry: 5 } });
  // @ts-expect-error: only a POST is a stream here
  api.events('/oracle/answers', { body: { text: 'where' } });
  // @ts-expect-error: a POST is no stream here
  api.events('/rooms/{room}', { method: 'post', path: { room: 'tea' }, query: { name: 'ann' } });
  // @ts-expect-error: the body is required
  api.events('/oracle/answers', { method: 'post' });
  // @ts-expect-error: the body has another shape
  api.events('/oracle/answers', { method: 'post', body: { txt: 'where' } });
  // @ts-expect-error: the data of this event is no text
  api.events('/jobs/{job}/progress', { path: { job: '7' }, text: ['progress'] });
  // @ts-expect-error: no such event
  api.events('/jobs/{job}/progress', { path: { job: '7' }, text: ['logs'] });
}

export async function untyped() {
  const api = createClient();
  for await (const e of api.events('/whatever/{id}', { path: { id: 1 }, query: { a: 'b' } })) is<typeof e, StreamEvent>(true);
  for await (const e of api.events('/whatever', { method: 'post', body: 1 })) is<typeof e.data, unknown>(true);
  api.events('/whatever', { query: { tags: { lang: 'de' } }, header: { 'x-a': undefined } });
  // @ts-expect-error: the id is an option
  api.events('/whatever', { header: { 'Last-Event-ID': '7' } });
  // @ts-expect-error: the id is an option
  api.events('/whatever', { query: { lastEventId: '7' } });
}

export async function prefixed() {
  const api = createClient<paths, 'x-'>({ baseUrl: 'https://example.org', controlPrefix: 'x-' });
  for await (const e of api.events('/oracle/answers', { method: 'post', body: { text: 'where' } })) {
    is<typeof e, StreamEvent<'message', string> | Reset<'x-'>>(true);
    if (e.event === 'x-reset') is<typeof e.data.topics, string[]>(true);
  }
  // @ts-expect-error: the prefix is no other
  createClient<paths, 'x-'>({ controlPrefix: 'y-' });
  // @ts-expect-error: the types have to know it
  createClient<paths>({ controlPrefix: 'x-' });
  createClient({ controlPrefix: 'x-' });
  createClient<paths>({ controlPrefix: undefined }).events('/dashboard', { method: undefined });
}

export function refused(error: unknown) {
  if (error instanceof HeliosError) is<typeof error.problem, Problem | undefined>(true);
}

export function Progress({ job }: { job: string }) {
  const { value, state, error } = useEvents(
    link => api.events('/jobs/{job}/progress', { path: { job }, ...link }),
    (done, e) => (e.event === 'progress' ? e.data.done : done),
    0,
    [job],
  );
  is<typeof value, number>(true);
  return `${value} ${state} ${error}`;
}
