// What `openapi-typescript` makes of a server's `openapi-3.1.json`, read as streams. Nothing here is left at run time.

/** One event of a stream. */
export interface StreamEvent<Name extends string = string, Data = unknown> {
  /** Its name: `message` if it has none. */
  event: Name;
  data: Data;
  /** Where a client is that has read this event: the last id that the server has given, `''` before the first. */
  lastEventId: string;
}

/** Events are missing: fetch anew what you show. The stream goes on by itself. */
export type Reset = StreamEvent<'helios:reset', {
  reason: 'epoch' | 'expired' | 'unknown' | 'slow' | 'gap' | (string & {});
  topics: string[];
}>;

/** Problem JSON (RFC 9457): what an answer says that is no stream, and the data of an event `error`. */
export interface Problem {
  type?: string;
  title?: string;
  status?: number;
  detail?: string;
  [more: string]: unknown;
}

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';

type Streamed<Response> = Response extends { content: { 'text/event-stream': infer Events } } ? [Events] : never;

/** What a stream holds by the document, in a tuple: `[unknown]` is a stream without a schema, `never` is none. */
type EventsOf<Operation> = Operation extends { responses: infer All } ? Streamed<All[keyof All]> : never;

/** The methods that answer with a stream. */
export type MethodOf<Item, M = Method & keyof Item> = M extends keyof Item
  ? [EventsOf<Item[M]>] extends [never] ? never : M
  : never;

/** Asked with when nothing else is said: GET, where that is a stream. */
export type UsualMethod<Item> = 'get' extends MethodOf<Item> ? 'get' : MethodOf<Item>;

/** The paths that answer with a stream. */
export type PathOf<Paths, P = keyof Paths & string> = P extends keyof Paths
  ? [MethodOf<Paths[P]>] extends [never] ? never : P
  : never;

type Named<Item> = Item extends { event: infer Name extends string; data?: infer Data } ? StreamEvent<Name, Data>
  : Item extends { data: infer Data } ? StreamEvent<'message', Data>
  : never;

/** A reset is known to every stream: the client makes one of a 410. */
type WithReset<Event extends StreamEvent> = Event | ('helios:reset' extends Event['event'] ? never : Reset);

/** The events of an operation: a union that narrows by `event`. */
export type EventOf<Operation> = EventsOf<Operation> extends [infer Items]
  ? unknown extends Items ? StreamEvent : WithReset<Named<Items>>
  : never;

type TextName<Event> = Event extends StreamEvent<infer Name, infer Data> ? string extends Data ? Name : never : never;

type Parameters<Operation> = Operation extends { parameters: infer All }
  ? Pick<All, keyof All & ('path' | 'query' | 'header')>
  : {};

type Json<Body> = [Body] extends [{ content: { 'application/json': infer Value } }] ? Value : never;

type Body<Operation> = Operation extends { requestBody: infer Body } ? { body: Json<Body> }
  : Operation extends { requestBody?: infer Body } ? [Body & {}] extends [never] ? {} : { body?: Json<Body & {}> }
  : {};

export type State = 'connecting' | 'open' | 'waiting' | 'ended' | 'failed';

/** Told of each change: with what went wrong, if anything has. */
export type OnState = (state: State, error?: unknown) => void;

interface Common<Event> {
  /** Begin behind this event, or with `earliest`. */
  lastEventId?: string | undefined;
  /** Stops the stream at once. The loop then throws the signal's reason. */
  signal?: AbortSignal | undefined;
  onState?: OnState | undefined;
  /** Come back when the connection is lost. Default: yes for GET, no for all others. */
  reconnect?: boolean | undefined;
  /** The events whose data is text, and given as it is. That of all others is parsed as JSON, if it is JSON. */
  text?: readonly TextName<Event>[] | undefined;
  /** How many milliseconds of silence mean that the connection is lost. 0: none. Default: the client's, or 45 s. */
  idle?: number | undefined;
}

export type Request<Item, M extends MethodOf<Item>> = Parameters<Item[M]> & Body<Item[M]> & Common<EventOf<Item[M]>>
  & ('get' extends MethodOf<Item> ? { method?: M } : { method: M });

/** May be left out where nothing in it is required. */
export type RequestOf<Item, M extends MethodOf<Item>> = {} extends Request<Item, M>
  ? [request?: Request<Item, M>]
  : [request: Request<Item, M>];

interface AnyOperation {
  parameters: { path?: Record<string, unknown>; query?: Record<string, unknown>; header?: Record<string, string> };
  requestBody?: { content: { 'application/json': unknown } };
  responses: { 200: { content: { 'text/event-stream': unknown } } };
}

/** The paths of a server without a document. */
export type AnyPaths = Record<string, { [M in Method]: AnyOperation }>;
