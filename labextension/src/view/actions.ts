/** What a person does with a whole session: fork it, delete it and take that back, save its transcript. */

import { Rejected } from '../socket.js';
import type { UserItem } from '../transcript.js';
import type { Chat } from './chat.js';
import { leaveDraft } from './composerState.js';
import { t } from './i18n.js';

/** An answer below `sessions/{id}`. Raises Rejected with the server's sentence. */
export async function request(chat: Chat, method: string, what = '', body?: unknown): Promise<Response> {
  const { api, sessionId, fetch } = chat.host;
  const answer = await fetch.call(chat.host, `${api}/sessions/${encodeURIComponent(sessionId)}${what}`, {
    method, ...(body === undefined ? {} : { body: JSON.stringify(body) })
  });
  if (!answer.ok) {
    const said = (await answer.json().catch(() => ({}))) as { message?: string; reason?: string };
    throw new Rejected(said.reason ?? 'failed', said.message ?? `${answer.status} ${answer.statusText}`);
  }
  return answer;
}

/** A new session with the history before a message, which waits in its composer with all that went along. */
export async function fork(chat: Chat, from?: UserItem): Promise<void> {
  try {
    const answer = await request(chat, 'POST', '/fork', from ? { at_seq: from.seq - 1 } : {});
    const made = (await answer.json()) as { id: string; title: string };
    if (from) {
      await leaveDraft(made.id, from.content, from.context);
    }
    if (chat.host.openSession) {
      chat.host.openSession(made.id);
    } else {
      chat.fail(new Rejected('forked', t('“{title}” is in the list of sessions.', { title: made.title })));
    }
  } catch (error) {
    chat.fail(error);
  }
}

export async function remove(chat: Chat): Promise<void> {
  try {
    await request(chat, 'DELETE');
    chat.removed = true;
    chat.touch();
  } catch (error) {
    chat.fail(error);
  }
}

export async function restore(chat: Chat): Promise<void> {
  try {
    await request(chat, 'POST', '/restore', {});
    chat.removed = false;
    chat.reconnect();
  } catch (error) {
    chat.fail(error);
  }
}

export async function save(chat: Chat): Promise<void> {
  try {
    const answer = await request(chat, 'GET', '/export?format=jsonl');
    const link = document.createElement('a');
    link.href = URL.createObjectURL(await answer.blob());
    link.download = `${chat.session?.title || chat.host.sessionId}.jsonl`.replace(/[/\\:]/g, '-');
    link.click();
    URL.revokeObjectURL(link.href);
  } catch (error) {
    chat.fail(error);
  }
}
