// npm `ai`: a chat of a page with `DefaultChatTransport`. It asks, and may stop at the first token or
// reconnect after a cut. It can also be a page that has been reloaded.
import { AbstractChat, DefaultChatTransport } from 'ai';
import { fail, over, tell } from './tell.mjs';

const [url, how] = process.argv.slice(2);
const id = 'the chat';
const api = `${url}/chats`;

// The state that a framework keeps in a page. It reports the tokens that each change of the answer adds.
class State {
  status = 'ready';
  error;
  messages = [];
  told = '';
  snapshot = structuredClone;

  pushMessage(message) {
    this.messages.push(message);
    this.show(message);
  }

  popMessage() {
    this.messages.pop();
  }

  replaceMessage(index, message) {
    this.messages[index] = message;
    this.show(message);
  }

  show({ role, parts }) {
    const text = parts.map(part => part.text ?? '').join('');
    if (role !== 'assistant' || text === this.told) return;
    const more = text.startsWith(this.told);
    tell(more ? { event: 'token', data: text.slice(this.told.length) } : { event: 'anew', data: text });
    this.told = text;
    if (how === 'leave') chat.stop();
    if (how === 'stop') fetch(`${api}/${encodeURIComponent(id)}`, { method: 'DELETE' });
  }
}

class Chat extends AbstractChat {
  constructor() {
    super({
      id,
      state: new State(),
      transport: new DefaultChatTransport({ api, body: { model: 'm' } }),
      onError: fail,
      onFinish: ({ isError, finishReason = 'none' }) => isError || tell({ event: 'finish', data: finishReason }),
    });
  }
}

const chat = new Chat();
if (how === 'resume') await chat.resumeStream();
else await chat.sendMessage({ text: 'who is it' });
if (how === 'return' && chat.status === 'error') await chat.resumeStream();
over();
