// npm `openai`: reads an answer, or stops at its first token.
import OpenAI from 'openai';
import { fail, over, tell } from './tell.mjs';

const [url, how] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'sk-sun' });
try {
  const answer = await client.chat.completions.create({
    model: 'm',
    messages: [{ role: 'user', content: 'who is it' }],
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const { choices, usage } of answer) {
    const token = choices[0]?.delta.content;
    if (token) tell({ event: 'token', data: token });
    if (usage) tell({ event: 'usage', data: `${usage.completion_tokens}` });
    if (how === 'leave') break;
    if (how === 'stop') answer.controller.abort();
  }
} catch (error) {
  fail(error);
}
over();
