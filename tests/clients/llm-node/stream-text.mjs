// npm `ai`: `streamText` with the provider `@ai-sdk/openai-compatible`. It reads an answer, or stops at its first token.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { streamText } from 'ai';
import { fail, over, tell } from './tell.mjs';

const [url, how] = process.argv.slice(2);
const provider = createOpenAICompatible({ name: 'helios', baseURL: `${url}/v1`, apiKey: 'sk-sun', includeUsage: true });
const stop = new AbortController();
const answer = streamText({
  model: provider('m'),
  prompt: 'who is it',
  abortSignal: stop.signal,
  onError() {}, // otherwise it is logged; it is also a part of the stream
});
try {
  for await (const part of answer.stream) {
    if (part.type === 'error') fail(part.error);
    if (part.type === 'finish' && part.finishReason === 'stop') tell({ event: 'usage', data: `${part.totalUsage.outputTokens}` });
    if (part.type !== 'text-delta') continue;
    tell({ event: 'token', data: part.text });
    if (how === 'leave') break;
    if (how === 'stop') stop.abort();
  }
} catch (error) {
  fail(error);
}
over();
