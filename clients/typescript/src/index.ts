// The client. It is one file at run time, so a page can import it without a build step.

import type { AnyPaths, EventOf, MethodOf, OnState, PathOf, Problem, RequestOf, UsualMethod } from './types.js';

export type { OnState, Problem, Reset, State, StreamEvent } from './types.js';

/** The headers that `fetch` accepts. `HeadersInit` is a name of the DOM library, which an app of Node leaves out. */
type HeadersGiven = NonNullable<RequestInit['headers']>;

export interface ClientOptions<Prefix extends string = 'helios:'> {
  /** The URL before each path, without a query. Default: the page's own origin. */
  baseUrl?: string | undefined;
  /** Sent with each request. A function is called for each connection, since a token may have expired. */
  headers?: HeadersGiven | (() => HeadersGiven | Promise<HeadersGiven>) | undefined;
  /** `include` sends cookies to another origin. */
  credentials?: RequestInit['credentials'] | undefined;
  fetch?: typeof fetch | undefined;
  /** The silence in milliseconds after which a connection counts as lost. Default: 45 s, three keep-alives of the server. */
  idle?: number | undefined;
  /** The server's prefix for control events. Default: `helios:`. With a document, name it as a type too: `createClient<paths, 'x-'>`. */
  controlPrefix?: Prefix | undefined;
}

export interface Client<Paths, Prefix extends string = 'helios:'> {
  /**
   * Reads the events of a stream, over as many connections as that takes. It sends no request before the first `next()`, and reads
   * no faster than the loop. Leaving the loop closes the connection.
   *
   * Throws a `HeliosError` if coming back would not help, and the signal's reason if it is aborted.
   */
  events<P extends PathOf<Paths>, M extends MethodOf<Paths[P]> = UsualMethod<Paths[P]>>(
    path: P,
    ...request: RequestOf<Paths[P], M>
  ): AsyncGenerator<EventOf<Paths[P][M], Prefix>, void, void>;
}

/** A stream could not be opened, or broke off before its end. */
export class HeliosError extends Error {
  override name = 'HeliosError';
  /** The status of an answer that is no stream; `undefined` for a stream that broke off. */
  status?: number | undefined;
  problem?: Problem | undefined;
  /** The wait that the server asked for, in milliseconds. */
  retryAfter?: number | undefined;

  constructor(message: string, more?: Partial<HeliosError>) {
    super(message);
    Object.assign(this, more);
  }
}

/** Parses `text/event-stream`, in chunks of any size. */
export class EventParser {
  /** The latest `retry`, in milliseconds. */
  retry?: number;
  #decoder = new TextDecoder();
  #line = '';
  #isAfterCr = false;
  #id: string;
  #event = '';
  #data = '';

  /** Creates a parser that goes on behind this id. */
  constructor(public lastEventId = '') {
    this.#id = lastEventId;
  }

  /** Returns the events that these bytes complete. */
  push(bytes: Uint8Array): { event: string; data: string; lastEventId: string }[] {
    const events = [];
    let text = this.#decoder.decode(bytes, { stream: true });
    if (!text) return [];
    if (this.#isAfterCr && text[0] === '\n') text = text.slice(1);
    this.#isAfterCr = text.endsWith('\r');
    const lines = text.split(/\r\n?|\n/);
    // Only new text is searched. Engines keep such a sum as its pieces, and join them when the line is read.
    lines[0] = this.#line + lines[0];
    this.#line = lines.pop()!;
    for (const line of lines) {
      if (line) {
        this.#field(line);
        continue;
      }
      this.lastEventId = this.#id;
      if (this.#data) {
        events.push({ event: this.#event || 'message', data: this.#data.slice(0, -1), lastEventId: this.#id });
      }
      this.#event = this.#data = '';
    }
    return events;
  }

  #field(line: string) {
    const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line)!;
    if (name === 'data') this.#data += value + '\n';
    if (name === 'event') this.#event = value!;
    if (name === 'id' && isId(value!)) this.#id = value!;
    if (name === 'retry' && /^\d+$/.test(value!)) this.retry = Number(value);
  }
}

type AnyOptions = ClientOptions<string>;

interface AnyRequest {
  path?: Record<string, unknown>;
  query?: Record<string, unknown>;
  header?: Record<string, unknown>;
  body?: unknown;
  method?: string;
  lastEventId?: string;
  signal?: AbortSignal;
  onState?: OnState;
  reconnect?: boolean;
  text?: readonly string[];
  idle?: number;
}

export function createClient<Paths extends object = AnyPaths, Prefix extends string = 'helios:'>(
  options: ClientOptions<Prefix> = {},
): Client<Paths, Prefix> {
  // Invalid headers throw here. Inside of the loop they would be retried as a failed connection.
  if (typeof options.headers !== 'function') new Headers(options.headers);
  // A path behind a query would be a part of it.
  if (/[?#]/.test(options.baseUrl ?? '')) throw new TypeError('a baseUrl has no query and no fragment');
  return { events: (path: string, request: AnyRequest = {}) => events(options, path, request) } as Client<Paths, Prefix>;
}

const LONGEST_WAIT = 30_000;
/** A longer timer would go off at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** The reason of a stream that its reader has left. */
const LEFT = Symbol();

function events(options: AnyOptions, path: string, request: AnyRequest) {
  const stop = new AbortController();
  const events = read(options, path, request, stop);
  const leave = events.return.bind(events);
  // A generator first waits for its pending `next()`, and thus for another event.
  events.return = value => {
    stop.abort(LEFT);
    return leave(value);
  };
  // A generator would throw the error at its `yield`, like that of a lost connection.
  events.throw = async error => {
    await events.return();
    throw error;
  };
  return events;
}

async function* read(options: AnyOptions, path: string, request: AnyRequest, stop: AbortController) {
  const { text } = request;
  const { signal } = stop;
  const tell: OnState = (state, error) => {
    try {
      request.onState?.(state, error);
    } catch (thrown) {
      // It is the page's error, and no lost connection.
      stop.abort(thrown);
    }
    signal.throwIfAborted();
  };
  const comesBack = request.reconnect ?? methodOf(request) === 'GET';
  const [reset, sentAway, end] = named(options.controlPrefix ?? 'helios:');
  const url = urlOf(options.baseUrl, path, request);
  const body = JSON.stringify(request.body) ?? null;
  const init: RequestInit = { method: methodOf(request), body, cache: 'no-store' };
  if (options.credentials) init.credentials = options.credentials;
  let lastEventId = request.lastEventId ?? idIn(request.header) ?? idIn(request.query) ?? '';
  if (!isId(lastEventId)) throw new TypeError('no event can have this lastEventId');
  // This throws if the request can never be sent. Inside of the loop it would be retried as a failed connection.
  new Request(url, { ...init, headers: headersOf(undefined, request) });
  let retry: number | undefined;
  let failures = 0;
  let sawEvents = false;
  /** Whether the server has told a position. A given id only tells where the caller began. */
  let hasMoved = false;
  let failure: unknown;
  try {
    if (request.signal) follow(stop, request.signal);
    for (;;) {
      signal.throwIfAborted();
      tell('connecting');
      let last: string | undefined;
      let lost: unknown;
      const connection = new Connection(request.idle ?? options.idle ?? 45_000, signal);
      try {
        const response = await connection.open(options, url, init, request, lastEventId);
        if (response.status === 204) return;
        if (response.status === 410 && lastEventId && comesBack) {
          connection.close();
          lastEventId = '';
          sawEvents = hasMoved = false; // the stream begins anew
          yield { event: reset, data: { reason: 'expired', topics: [] }, lastEventId };
          continue;
        }
        if (!isStream(response)) throw await connection.refusal(response);
        tell('open');
        const position = response.headers.get('helios-position');
        hasMoved ||= position !== null;
        lastEventId = position ?? lastEventId;
        const parser = new EventParser(lastEventId);
        for (let bytes; (bytes = await connection.read()); ) {
          const events = parser.push(bytes);
          hasMoved ||= parser.lastEventId !== lastEventId;
          lastEventId = parser.lastEventId;
          retry = parser.retry ?? retry;
          for (const { event, data, lastEventId } of events) {
            sawEvents = true;
            last = event;
            yield { event, data: text?.includes(event) ? data : parsed(data), lastEventId };
            signal.throwIfAborted();
            if (event === end) return;
          }
        }
        const isSentAway = sentAway.includes(last);
        // A plain stream has no `retry`. Its end is the end of the response.
        if (!isSentAway && (!comesBack || retry === undefined)) return;
        if (!comesBack) throw new HeliosError('the server has sent this client away');
      } catch (error) {
        signal.throwIfAborted();
        const mayPass = !(error instanceof HeliosError) || error.status === 429 || error.status! >= 500;
        // A new connection would repeat events that the loop has read.
        const wouldRepeat = sawEvents && retry === undefined && !(hasMoved && lastEventId);
        if (!comesBack || !mayPass || wouldRepeat) throw broken(error);
        lost = error;
      } finally {
        connection.close();
      }
      const hasFailed = !last || last === 'error';
      if (!hasFailed) failures = 0;
      if (hasFailed || lost) failures++;
      tell('waiting', lost);
      const told = lost instanceof HeliosError ? lost.retryAfter : undefined;
      await pause(waitAfter(failures, retry ?? 3_000, told), signal);
    }
  } catch (error) {
    if (error === LEFT) return;
    if (!request.signal?.aborted) failure = error;
    throw error;
  } finally {
    stop.abort();
    request.onState?.(failure ? 'failed' : 'ended', failure);
  }
}

/** One request. It ends when it is closed, aborted, or silent for too long. */
class Connection {
  #abort = new AbortController();
  #body: ReadableStream<Uint8Array> | null = null;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #idle: number;
  /** Ends what is waited for. */
  #fail: (reason: unknown) => void = () => {};

  constructor(idle: number, signal: AbortSignal) {
    this.#idle = idle;
    const own = this.#abort.signal;
    own.addEventListener('abort', () => this.#fail(own.reason));
    follow(this.#abort, signal);
  }

  async open(options: AnyOptions, url: string, init: RequestInit, request: AnyRequest, lastEventId: string) {
    const { signal } = this.#abort;
    let given = options.headers;
    if (typeof given === 'function') given = await this.#patiently(given());
    const headers = headersOf(given, request);
    const place = new URL(url);
    // A header cannot hold such an id, or would lose its spaces. The server also reads the query.
    if (/^ |[\0-\x1f\x7f]| $/.test(lastEventId)) place.searchParams.set('lastEventId', lastEventId);
    // A header holds bytes, and `Headers` takes one character for each.
    else if (lastEventId) headers.set('last-event-id', String.fromCharCode(...utf8(lastEventId)));
    const answer = (options.fetch ?? fetch)(place.href, { ...init, headers, signal });
    // A given `fetch` may not follow the signal, and answer after the end.
    answer.then(late => (signal.aborted ? late.body?.cancel() : undefined)).catch(() => {});
    const response = await this.#patiently(answer);
    this.#body = response.body;
    return response;
  }

  /** Returns the next bytes, or `undefined` after the last. */
  async read() {
    this.#reader ??= this.#body?.getReader();
    return this.#reader && (await this.#patiently(this.#reader.read())).value;
  }

  /** Returns the error for an answer that is no stream. */
  async refusal(response: Response) {
    const { status, headers } = response;
    const type = headers.get('content-type') ?? 'nothing';
    const isJson = /^application\/([\w.-]+\+)?json\b/i.test(type);
    const problem: Problem | undefined = isJson
      ? await this.#patiently(response.json()).catch(() => undefined)
      : undefined;
    const what = response.ok ? `${type} is no event stream` : `the server answered ${status}`;
    return new HeliosError(problem?.detail ?? problem?.title ?? what, { status, problem, retryAfter: retryAfter(headers) });
  }

  close() {
    this.#abort.abort();
    // The body of a given `fetch` may not follow the signal.
    (this.#reader ?? this.#body)?.cancel().catch(() => {});
  }

  /** Waits, but not in silence, and not once this is closed. */
  async #patiently<T>(promise: T | Promise<T>) {
    const silent = () => this.#abort.abort(new Error(`nothing came for ${this.#idle} ms`));
    const timer = this.#idle ? setTimeout(silent, Math.min(this.#idle, LONGEST_TIMER)) : undefined;
    const { signal } = this.#abort;
    const closed = new Promise<never>((_, reject) => {
      this.#fail = reject;
      if (signal.aborted) reject(signal.reason);
    });
    try {
      return await Promise.race([promise, closed]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Aborts the controller with this signal. Once it is aborted, it holds nothing of the signal. */
function follow(controller: AbortController, signal: AbortSignal) {
  const abort = () => controller.abort(signal.reason);
  signal.addEventListener('abort', abort, { signal: controller.signal });
  if (signal.aborted) abort();
}

function named(prefix: string) {
  return [`${prefix}reset`, [`${prefix}reconnect`, `${prefix}overloaded`] as (string | undefined)[], `${prefix}end`] as const;
}

function methodOf({ method = 'get' }: AnyRequest) {
  return method.toUpperCase();
}

/** Whether an event may have this id. The servers take no longer one back. */
function isId(id: string) {
  return !/[\0\r\n]/.test(id) && utf8(id).length <= 8_192;
}

function utf8(text: string) {
  return new TextEncoder().encode(text);
}

const isIdName = (name: string) => /^last-?event-?id$/i.test(name);

/** Returns the id among these headers or entries of a query. It is where the stream begins, and not sent again with each request. */
function idIn(values: Record<string, unknown> = {}) {
  const [, id] = Object.entries(values).find(([name, value]) => isIdName(name) && isGiven(value)) ?? [];
  return id === undefined ? id : String(id);
}

function headersOf(given: HeadersGiven | undefined, { header = {}, body }: AnyRequest) {
  const headers = new Headers(given);
  for (const [name, value] of Object.entries(header)) {
    if (isGiven(value) && !isIdName(name)) headers.set(name, String(value));
  }
  headers.set('accept', 'text/event-stream');
  if (body !== undefined) headers.set('content-type', 'application/json');
  return headers;
}

function isGiven(value: unknown) {
  return value !== undefined && value !== null;
}

function urlOf(baseUrl = '', path: string, { path: values, query = {} }: AnyRequest) {
  const filled = path.replace(/{([^}]*)}/g, (_, name) => {
    const value = String(values?.[name] ?? '');
    // The URL parser removes such segments, which would lead to another path.
    if (/^\.{0,2}$/.test(value)) throw new TypeError(`'${value}' cannot be the {${name}} of ${path}`);
    return encodeURIComponent(value);
  });
  const url = new URL(baseUrl.replace(/\/$/, '') + filled, globalThis.location?.href);
  // The document shows a map as one parameter. A query has only its entries.
  const isMap = (value: unknown): value is object => Object.prototype.toString.call(value) === '[object Object]';
  const entries = Object.entries(query).flatMap(entry => (isMap(entry[1]) ? Object.entries(entry[1]) : [entry]));
  for (const [name, value] of entries) {
    if (isIdName(name)) continue;
    for (const each of [value].flat()) {
      if (isGiven(each)) url.searchParams.append(name, String(each));
    }
  }
  return url.href;
}

function isStream({ ok, headers }: Response) {
  return ok && /^text\/event-stream\b/i.test(headers.get('content-type') ?? '');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function retryAfter(headers: Headers) {
  const value = headers.get('retry-after');
  if (!value) return;
  return /^\d+$/.test(value) ? Number(value) * 1_000 : Math.max(0, Date.parse(value) - Date.now()) || undefined;
}

function broken(error: unknown) {
  return error instanceof HeliosError ? error : new HeliosError('the stream broke off', { cause: error });
}

/**
 * Returns the wait before the next connection. It grows with each failure, and is never shorter than `told`, the server's `Retry-After`.
 * Jitter keeps clients from coming back together.
 */
function waitAfter(failures: number, retry: number, told = 0) {
  if (!failures) return retry;
  const random = Math.random();
  const longest = Math.max(2 * retry, Math.min(LONGEST_WAIT, Math.max(retry, 250) * 2 ** failures));
  return Math.max(told && told + random * retry, longest * (1 + random) / 2);
}

/** Waits so long, or until the signal is aborted. */
function pause(ms: number, signal: AbortSignal) {
  return new Promise<void>(resolve => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, Math.min(ms, LONGEST_TIMER));
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}
