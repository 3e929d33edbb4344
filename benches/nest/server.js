// The server of events in NestJS: `node server.js (fastify|express)`. Every client of /events/{topic} gets the events that are
// published to that topic. This is plain JavaScript, so it calls the decorators by hand.

import 'reflect-metadata';
import { Controller, Param, Sse } from '@nestjs/common';
import { Subject, map } from 'rxjs';
import { serve } from './serve.js';

const subjects = new Map();

function subject(topic) {
  if (!subjects.has(topic)) {
    subjects.set(topic, new Subject());
  }
  return subjects.get(topic);
}

class EventsController {
  subscribe(topic) {
    return subject(topic).pipe(map((data) => ({ data })));
  }
}
const handler = [EventsController.prototype, 'subscribe'];
Param('topic')(...handler, 0);
Sse(':topic')(...handler, Object.getOwnPropertyDescriptor(...handler));
Controller('events')(EventsController);

/// Returns the same data as `Command::data`.
function data(size) {
  const now = process.hrtime.bigint() + EPOCH;
  return `~${now.toString().padStart(19, '0')}`.padEnd(size, 'x');
}

/// The start of the monotonic clock, in nanoseconds since 1970.
const EPOCH = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e6)) - process.hrtime.bigint();

/// The length of an encoded `Command`: events, topics, size.
const COMMAND_BYTES = 12;

function publish(command) {
  const [events, topics, size] = [0, 4, 8].map((at) => command.readUInt32LE(at));
  for (let topic = 0; topic < topics; topic++) {
    for (let event = 0; event < events; event++) {
      subject(`t${topic}`).next(data(size));
    }
  }
}

function obey(commands) {
  let rest = Buffer.alloc(0);
  commands.on('data', (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    for (; rest.length >= COMMAND_BYTES; rest = rest.subarray(COMMAND_BYTES)) {
      publish(rest);
    }
  });
  commands.on('end', () => process.exit());
}

const app = await serve([EventsController]);
obey(process.stdin);
console.log(`127.0.0.1:${app.getHttpServer().address().port} 0`);
