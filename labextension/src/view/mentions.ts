/** What `@` can attach here: what the host knows, the files below the session's folder, other sessions. */

import { useEffect, useState } from 'preact/hooks';
import { decodeEvents } from '../protocol.js';
import type { ContextItem } from '../protocol.js';
import { textOf } from '../transcript.js';
import type { Chat } from './chat.js';
import { contextIcon } from './chips.js';
import type { Offer } from './completion.js';
import type { Reference } from './host.js';
import { t } from './i18n.js';
import { about, chipOf, worthNaming } from './variables.js';

export interface Mention extends Offer {
  /** What stays in the text where it was asked for. */
  readonly words: string;
  /** A folder can be gone into. */
  readonly inner: boolean;
  item(): Promise<ContextItem>;
}

/** Typing is faster than an answer; each answer is for all letters typed until it was asked for. */
const PAUSE = 60;
const FILES = 20;
const SESSIONS = 50;
const EVENTS_OF_A_SESSION = 500;
const WORDS_OF_A_SESSION = 20_000;

/** `query` undefined: nothing is asked for. Gives what is known by now; it grows while answers come. */
export function useMentions(chat: Chat, query: string | undefined): readonly Mention[] {
  const [near, setNear] = useState<readonly Mention[]>([]);
  const [variables, setVariables] = useState<readonly Mention[]>([]);
  const [sessions, setSessions] = useState<readonly Mention[]>([]);
  const [files, setFiles] = useState<readonly Mention[]>([]);
  const asked = query !== undefined;
  useEffect(() => {
    if (!asked) {
      return undefined;
    }
    const gone = new AbortController();
    const { signal } = gone;
    chat.host.references?.().then(
      found => !signal.aborted && setNear(found.map(mentionOf)),
      () => !signal.aborted && setNear([])
    );
    void variablesOf(chat, signal).then(found => !signal.aborted && setVariables(found));
    void otherSessions(chat, signal).then(found => !signal.aborted && setSessions(found));
    return () => gone.abort();
  }, [asked]);
  useEffect(() => {
    if (query === undefined) {
      return undefined;
    }
    const gone = new AbortController();
    const wait = setTimeout(() => {
      void filesFor(chat, query, gone.signal).then(found => found && setFiles(found));
    }, query ? PAUSE : 0);
    return () => {
      clearTimeout(wait);
      gone.abort();
    };
  }, [query]);
  return asked ? [...near, ...variables, ...files, ...sessions] : [];
}

function mentionOf(reference: Reference, index: number): Mention {
  const { kind, label, detail } = reference;
  const group = kind === 'session' || kind === 'variable' || kind === 'terminal' || kind === 'file' ? kind : 'cell';
  return {
    id: `near-${index}`,
    group,
    icon: kind === 'session' ? 'review' : contextIcon({ type: kind }),
    label,
    detail,
    words: label,
    inner: false,
    item: () => reference.item()
  };
}

async function read(chat: Chat, route: string, signal: AbortSignal): Promise<unknown> {
  try {
    const answer = await chat.host.fetch(`${chat.host.api}/${route}`, { signal });
    return answer.ok && !signal.aborted ? ((await answer.json()) as unknown) : undefined;
  } catch {
    // An offer that does not come is no fault: the words can be typed.
    return undefined;
  }
}

/** Undefined: there was no answer, so what was offered before stays. */
async function filesFor(chat: Chat, query: string, signal: AbortSignal): Promise<readonly Mention[] | undefined> {
  const route = `sessions/${encodeURIComponent(chat.host.sessionId)}/files?limit=${FILES}&q=${encodeURIComponent(query)}`;
  const found = (await read(chat, route, signal)) as { files?: readonly { path: string; kind: string }[] } | undefined;
  return found?.files?.map(({ path, kind }): Mention => {
    const folder = kind === 'folder';
    return {
      id: `file-${path}`,
      group: 'file',
      icon: folder ? 'folder' : 'read',
      label: path,
      detail: folder ? t('folder') : '',
      words: path,
      inner: folder,
      item: () => Promise.resolve({ type: 'file', label: path, path })
    };
  });
}

/** None where the session has no kernel, or one that does not tell. */
async function variablesOf(chat: Chat, signal: AbortSignal): Promise<readonly Mention[]> {
  if (!chat.session?.notebook?.kernel_id) {
    return [];
  }
  const route = `sessions/${encodeURIComponent(chat.host.sessionId)}/variables`;
  return worthNaming(await read(chat, route, signal)).map((variable): Mention => ({
    id: `variable-${variable.name}`,
    group: 'variable',
    icon: contextIcon({ type: 'variable' }),
    label: variable.name,
    detail: about(variable),
    words: variable.name,
    inner: false,
    item: () => Promise.resolve(chipOf(variable))
  }));
}

async function otherSessions(chat: Chat, signal: AbortSignal): Promise<readonly Mention[]> {
  const found = (await read(chat, `sessions?limit=${SESSIONS}`, signal)) as
    { sessions?: readonly { id: string; title: string; agent: string; last_seq: number; notebook?: { path: string } | null }[] } | undefined;
  return (found?.sessions ?? [])
    .filter(({ id }) => id !== chat.host.sessionId)
    .map(({ id, title, agent, last_seq, notebook }): Mention => ({
      id: `session-${id}`,
      group: 'session',
      icon: 'review',
      label: title,
      detail: t('session, {about}', { about: notebook?.path ?? agent }),
      words: `“${title}”`,
      inner: false,
      item: () => lastWordsOf(chat, id, title, last_seq)
    }));
}

/** What was said at the end of another session, as its person and its agent said it. */
async function lastWordsOf(chat: Chat, id: string, title: string, lastSeq: number): Promise<ContextItem> {
  const route = `sessions/${encodeURIComponent(id)}/events?before=${lastSeq + 1}&limit=${EVENTS_OF_A_SESSION}`;
  const { events } = decodeEvents(await read(chat, route, new AbortController().signal));
  const said = events.flatMap(({ body }) =>
    body.type === 'user_message' ? [`${t('The person')}: ${textOf(body.content)}`]
    : body.type === 'agent_message' ? [`${t('The agent')}: ${textOf(body.content)}`]
    : []);
  const label = t('session “{title}”', { title });
  return { type: 'selection', label, name: title, text: said.join('\n\n').slice(-WORDS_OF_A_SESSION) };
}
