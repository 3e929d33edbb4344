// Types that find the streams in the output of `openapi-typescript` for a server's `openapi-3.1.json`. Nothing here exists at run time.

/** One event of a stream. */
export interface StreamEvent<Name extends string = string, Data = unknown> {
  /** The name of the event, or `message` if it has none. */
  event: Name;
  data: Data;
  /** The position behind this event: the latest id from the server, or `''` before the first. */
  lastEventId: string;
}

/** Events are missing, so fetch again what you show. The stream goes on by itself. */
export type Reset<Prefix extends string = 'helios:'> = StreamEvent<`${Prefix}reset`, {
  reason: 'epoch' | 'expired' | 'unknown' | 'slow' | 'gap' | (string & {});
  topics: string[];
}>;

/** Problem JSON (RFC 9457): the body of an answer that is no stream, or the data of an `error` event. */
export interface Problem {
  type?: string;
  title?: string;
  status?: number;
  detail?: string;
  [more: string]: unknown;
}

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';

type Streamed<Response> = Response extends { content: { 'text/event-stream': infer Events } } ? [Events] : never;

/** The events of a stream in a tuple. `[unknown]` is a stream without a schema, and `never` is no stream. */
type EventsOf<Operation> = Operation extends { responses: infer All } ? Streamed<All[keyof All]> : never;

/** The methods of a path that answer with a stream. */
export type MethodOf<Item, M = Method & keyof Item> = M extends keyof Item
  ? [EventsOf<Item[M]>] extends [never] ? never : M
  : never;

/** The default method: GET if that answers with a stream. */
export type UsualMethod<Item> = 'get' extends MethodOf<Item> ? 'get' : MethodOf<Item>;

/** The paths that answer with a stream. */
export type PathOf<Paths, P = keyof Paths & string> = P extends keyof Paths
  ? [MethodOf<Paths[P]>] extends [never] ? never : P
  : never;

type Named<Item> = Item extends { event: infer Name extends string; data?: infer Data } ? StreamEvent<Name, Data>
  : Item extends { data: infer Data } ? StreamEvent<'message', Data>
  : never;

/** Every stream may have a reset, since the client makes one of a 410. */
type WithReset<Event extends StreamEvent, Prefix extends string> =
  | Event
  | (`${Prefix}reset` extends Event['event'] ? never : Reset<Prefix>);

/** The events of an operation, as a union that narrows by `event`. */
export type EventOf<Operation, Prefix extends string> = EventsOf<Operation> extends [infer Items]
  ? unknown extends Items ? StreamEvent : WithReset<Named<Items>, Prefix>
  : never;

type TextName<Event> = Event extends StreamEvent<infer Name, infer Data> ? string extends Data ? Name : never : never;

type TextOf<Operation> = TextName<EventOf<Operation, 'helios:'>>;

/** The id has an option of its own, which moves on with the stream. */
type IdName = 'Last-Event-ID' | 'last-event-id' | 'lastEventId';

type WithoutId<Values> = Values extends object ? Omit<Values, IdName> & { [Name in IdName]?: never } : Values;

type Parameters<Operation> = Operation extends { parameters: infer All }
  ? { [At in keyof All as At & ('path' | 'query' | 'header')]: At extends 'path' ? All[At] : WithoutId<All[At]> }
  : {};

type Json<Body> = [Body] extends [{ content: { 'application/json': infer Value } }] ? Value : never;

type Body<Operation> = Operation extends { requestBody: infer Body } ? { body: Json<Body> }
  : Operation extends { requestBody?: infer Body } ? [Body & {}] extends [never] ? {} : { body?: Json<Body & {}> }
  : {};

export type State = 'connecting' | 'open' | 'waiting' | 'ended' | 'failed';

/** Called on each change of state, with the error if there is one. */
export type OnState = (state: State, error?: unknown) => void;

interface Common<Text> {
  /** Begin behind this event, or with `earliest`. */
  lastEventId?: string | undefined;
  /** Stops the stream at once. The loop then throws the signal's reason. */
  signal?: AbortSignal | undefined;
  onState?: OnState | undefined;
  /** Come back after the connection is lost. Default: yes for GET, no for all others. */
  reconnect?: boolean | undefined;
  /** The events whose data is text, which is not parsed. The data of all others is parsed as JSON if possible. */
  text?: readonly Text[] | undefined;
  /** The silence in milliseconds after which the connection counts as lost. 0 turns this off. Default: the client's, or 45 s. */
  idle?: number | undefined;
}

export type Request<Item, M extends MethodOf<Item>> = Parameters<Item[M]> & Body<Item[M]> & Common<TextOf<Item[M]>>
  & ('get' extends MethodOf<Item> ? { method?: M | undefined } : { method: M });

/** The request is optional if nothing in it is required. */
export type RequestOf<Item, M extends MethodOf<Item>> = {} extends Request<Item, M>
  ? [request?: Request<Item, M>]
  : [request: Request<Item, M>];

interface AnyOperation {
  parameters: { path?: Record<string, unknown>; query?: Record<string, unknown>; header?: Record<string, unknown> };
  requestBody?: { content: { 'application/json': unknown } };
  responses: { 200: { content: { 'text/event-stream': unknown } } };
}

/** The paths of a server without a document. */
export type AnyPaths = Record<string, { [M in Method]: AnyOperation }>;
