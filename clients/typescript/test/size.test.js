import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { readFileSync } from 'node:fs';
import { transformSync } from 'esbuild';

test('a page loads little of it, in one file', () => {
  const code = readFileSync(new URL('../dist/index.js', import.meta.url), 'utf8');
  assert.doesNotMatch(code, /^import /m);
  const { code: minified } = transformSync(code, { minify: true, format: 'esm' });
  const size = gzipSync(minified).length;
  console.log(`${minified.length} bytes minified, ${size} with gzip`);
  assert.ok(size < 3_000);
});
