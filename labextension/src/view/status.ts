/** The session's state in words and a shape, from the fold and the connection. */

import type { Item, ToolItem } from '../transcript.js';
import type { Chat } from './chat.js';
import { elapsed } from './format.js';
import { t } from './i18n.js';
import type { IconName } from './icons.js';
import { now } from './ticking.js';
import { toolName } from './tools.js';

export interface StatusWords {
  readonly text: string;
  readonly icon: IconName;
  readonly tone: 'wait' | 'run' | 'idle' | 'fail' | 'end';
  /** It counts time, so it has to be said again each second. */
  readonly counts: boolean;
}

const running = (text: string): StatusWords => ({ text, icon: 'arc', tone: 'run', counts: true });
const waiting = (text: string): StatusWords => ({ text, icon: 'diamond', tone: 'wait', counts: false });

/** `timed`: with seconds, where there are any. */
export function statusWords(chat: Chat, timed: boolean): StatusWords {
  const { connection, session, transcript } = chat;
  const after = (words: string, ms: number): string =>
    timed ? t('{words}, {time}', { words, time: elapsed(ms) }) : words;
  if (chat.lostAt) {
    const text = after(t('Server unreachable'), now() - chat.lostAt);
    return { text, icon: 'plug', tone: 'fail', counts: true };
  }
  if (!session || !transcript) {
    return connection.name === 'closed'
      ? { text: t('Not connected'), icon: 'plug', tone: 'fail', counts: false }
      : { text: t('Connecting'), icon: 'arc', tone: 'run', counts: false };
  }
  const pending = session.pending_permissions[0];
  if (pending && session.status !== 'cancelling') {
    return waiting(
      pending.kind === 'question' ? t('Waiting for your answer')
      : pending.kind === 'plan' ? t('Waiting for your review')
      : t('Waiting for your permission')
    );
  }
  if (chat.stopping || session.status === 'cancelling') {
    return running(t('Stopping'));
  }
  if (transcript.turn) {
    const { turn, items } = transcript;
    const tool = runningTool(items);
    if (tool) {
      const words = t('Running {name}', { name: toolName(tool) });
      return running(after(words, chat.since(tool.id, tool.started_at)));
    }
    const last = items.at(-1);
    if (last?.type === 'agent_thought' && !last.done) {
      return running(after(t('Thinking'), chat.since(last.id, last.time)));
    }
    const total = chat.since(turn.turn_id, turn.started_at);
    return running(
      last?.type === 'agent_message' && !last.done
        ? after(t('Writing'), total)
        : after(t('Working'), total)
    );
  }
  switch (session.status) {
    case 'starting':
      return { ...running(t('Starting {agent}', { agent: session.agent })), counts: false };
    case 'running':
    case 'awaiting_permission':
      return running(t('Working'));
    case 'failed':
      return { text: t('Failed'), icon: 'bigCross', tone: 'fail', counts: false };
    case 'ended':
      return { text: t('Ended'), icon: 'dash', tone: 'end', counts: false };
    case 'stopped':
      return chat.sending.length
        ? { ...running(t('Starting {agent}', { agent: session.agent })), counts: false }
        : { text: t('Stopped'), icon: 'dash', tone: 'end', counts: false };
    default:
      return chat.sending.length
        ? { ...running(t('Sending')), counts: false }
        : { text: t('Idle'), icon: 'ring', tone: 'idle', counts: false };
  }
}

/** The call that runs now: the last one begun in this turn that has not ended, sub-agents' own first. */
function runningTool(items: readonly Item[]): ToolItem | undefined {
  for (let i = items.length - 1; i >= 0; i -= 1) {
    const item = items[i];
    if (item?.type === 'tool_call' && item.ended_at === null) {
      return item;
    }
    if (item?.type === 'turn' || item?.type === 'user_message') {
      return undefined;
    }
  }
  return undefined;
}
