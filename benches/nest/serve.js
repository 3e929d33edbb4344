// Serves an app of these controllers on a free port. The command line names the adapter, fastify or express.

import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';

export async function serve(controllers) {
  class App {}
  Module({ controllers })(App);
  const app = await NestFactory.create(App, await adapter(process.argv[2]), { logger: false });
  await app.listen(0, '127.0.0.1');
  return app;
}

async function adapter(name) {
  switch (name) {
    case 'fastify':
      return new (await import('@nestjs/platform-fastify')).FastifyAdapter();
    case 'express':
      return new (await import('@nestjs/platform-express')).ExpressAdapter();
    default:
      throw new Error(`there is no adapter ${name}`);
  }
}
