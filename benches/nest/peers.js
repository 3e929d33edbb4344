// The behaviours that `benches/tests/peers` compares, in NestJS: `node peers.js (fastify|express)`. It prints the fate of its
// streams, one word a line, and shuts down when its input ends. This is plain JavaScript, so it calls the decorators by hand.

import 'reflect-metadata';
import { mock } from 'node:test';
import { Controller, Post, Query, Sse } from '@nestjs/common';
import { Observable, Subject, of } from 'rxjs';
import { serve } from './serve.js';

const published = new Subject();
let clockStands = false;

/// Returns the same observable, but prints when it begins and when it ends.
function told(observable) {
  console.log('begun');
  return new Observable((subscriber) => {
    subscriber.add(() => console.log('ended'));
    return observable.subscribe(subscriber);
  });
}

class Shown {
  event({ name, id, data }) {
    return told(of({ type: name, id, data }));
  }

  silence() {
    return told(new Observable());
  }

  news() {
    return published;
  }

  publish({ id, data }) {
    published.next({ id, data });
  }

  /// Moves the clock forward. After the first call, the clock moves in no other way.
  clock({ millis }) {
    if (!clockStands) {
      mock.timers.enable({ apis: ['setInterval'] });
      clockStands = true;
    }
    mock.timers.tick(Number(millis));
  }
}
Controller()(Shown);
route(Sse('event'), 'event');
route(Sse('silence'), 'silence');
route(Sse('news'), 'news');
route(Post('news'), 'publish');
route(Post('clock'), 'clock');

function route(decorator, name) {
  Query()(Shown.prototype, name, 0);
  decorator(Shown.prototype, name, Object.getOwnPropertyDescriptor(Shown.prototype, name));
}

const app = await serve([Shown]);
process.stdin.on('end', () => app.close()).resume();
console.log(`127.0.0.1:${app.getHttpServer().address().port}`);
