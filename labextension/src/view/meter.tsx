/** What the session has used: its context, its tokens, its cost; each opens to what it is made of. */

import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Session, TurnUsage } from '../protocol.js';
import { textOf } from '../transcript.js';
import { request } from './actions.js';
import type { Chat } from './chat.js';
import { Popover } from './dialog.js';
import { clock, cost, count, firstLine } from './format.js';
import { t } from './i18n.js';
import { memo } from './memo.js';
import { Visible } from './text.js';

type Kind = 'used' | 'deferred' | 'buffer' | 'free';

interface ContextReport {
  readonly used: number;
  readonly size: number;
  readonly threshold: number | null;
  readonly categories: readonly { readonly name: string; readonly tokens: number; readonly kind: Kind }[];
  readonly detail: readonly { readonly group: string; readonly name: string; readonly tokens: number }[];
}

interface UsageRow extends TurnUsage {
  readonly key: string | null;
}

interface Cost {
  readonly by_turn: readonly UsageRow[];
  readonly by_model: readonly UsageRow[];
}

/** The server's answer, asked for again with `version`; a string is its sentence about why there is none. */
function useAnswer<T>(chat: Chat, what: string, version: unknown): T | string | undefined {
  const [answer, set] = useState<T | string>();
  useEffect(() => {
    let over = false;
    request(chat, 'GET', what)
      .then(got => got.json() as Promise<T>)
      .then(got => over || set(got), (error: unknown) => over || set(error instanceof Error ? error.message : String(error)));
    return () => {
      over = true;
    };
  }, [version]);
  return answer;
}

const percent = (part: number, whole: number): string => `${whole ? ((part / whole) * 100).toFixed(part && part / whole < 0.1 ? 1 : 0) : 0}\u202f%`;
const tokensOf = (row: Omit<UsageRow, 'key' | 'cost_usd' | 'cost_source'>): number =>
  row.input_tokens + row.output_tokens + row.cache_read_tokens + row.cache_write_tokens;

/** Which of the windows is open. */
export type Shown = 'context' | 'cost' | undefined;

interface MetersProps {
  readonly chat: Chat;
  readonly shown: Shown;
  show(what: Shown): void;
  readonly usage: Session['usage'];
  readonly canCompact: boolean;
}

export const Meters = memo(({ chat, shown: open, show: set, usage, canCompact }: MetersProps): JSX.Element => {
  const contextButton = useRef<HTMLButtonElement>(null);
  const costButton = useRef<HTMLButtonElement>(null);
  const { context_used: used, context_size: size } = usage;
  const share = used !== null && size ? Math.min(100, Math.round((used / size) * 100)) : null;
  const price = cost(usage.cost_usd, usage.cost_source);
  const toggle = (what: 'context' | 'cost'): void => set(open === what ? undefined : what);
  const close = (): void => set(undefined);
  const contextWords = share === null ? t('Context: not known yet')
    : t('Context: {used} of {size} tokens', { used: (used ?? 0).toLocaleString('en'), size: (size ?? 0).toLocaleString('en') });
  const costWords = usage.cost_usd === null ? t('Cost: not known')
    : usage.cost_source === 'estimate' ? t('Cost, estimated from a price table')
    : t('Cost, as the agent reports it');
  return (
    <>
      <span class="al-meters">
        <span class={`al-context ${share !== null && share >= 80 ? 'al-full' : ''}`} role="status" aria-live="off" aria-label={t('Context')}>
          <button type="button" class="al-figure" ref={contextButton} aria-haspopup="dialog" aria-expanded={open === 'context'}
            title={contextWords} onClick={() => toggle('context')}>
            <span class="al-meter"><i style={{ width: `${share ?? 0}%` }} /></span>
            <span>
              <b>{share === null ? '–' : `${share}\u202f%`}</b>
              {size && <span class="al-wide"> {t('of {size}', { size: count(size) })}</span>}
            </span>
          </button>
        </span>
        <span class="al-tokens"
          title={t('{input} in, {output} out, {read} read from cache, {write} written to cache', {
            input: count(usage.input_tokens), output: count(usage.output_tokens),
            read: count(usage.cache_read_tokens), write: count(usage.cache_write_tokens)
          })}>
          <b>{count(tokensOf(usage))}</b><span class="al-wide"> {t('tokens')}</span>
        </span>
        <span role="status" aria-live="off" aria-label={t('Cost')}>
          <button type="button" class="al-figure" ref={costButton} aria-haspopup="dialog" aria-expanded={open === 'cost'}
            title={costWords} onClick={() => toggle('cost')}>
            <b>{price}</b>
          </button>
        </span>
      </span>
      {open === 'context' && (
        <Popover label={t('What fills the context')} opener={contextButton} close={close}>
          <ContextParts chat={chat} version={used} canCompact={canCompact} close={close} />
        </Popover>
      )}
      {open === 'cost' && (
        <Popover label={t('What it cost')} opener={costButton} close={close}>
          <CostParts chat={chat} usage={usage} words={costWords} />
        </Popover>
      )}
    </>
  );
});

interface PartsProps {
  readonly chat: Chat;
  readonly version: unknown;
  readonly canCompact: boolean;
  close(): void;
}

const KINDS: Readonly<Partial<Record<Kind, string>>> = {
  deferred: 'loaded when needed', buffer: 'kept free to compact'
};

function ContextParts({ chat, version, canCompact, close }: PartsProps): JSX.Element {
  const report = useAnswer<ContextReport>(chat, '/context', version);
  if (typeof report !== 'object') {
    return <Waiting title={t('Context')} words={report} />;
  }
  const { used, size, threshold, categories, detail } = report;
  const groups = [...new Set(detail.map(each => each.group))];
  return (
    <>
      <h3>{t('Context')}</h3>
      <p>
        {t('{used} of {size} tokens, {share}', { used: used.toLocaleString('en'), size: size.toLocaleString('en'), share: percent(used, size) })}
        {threshold !== null && <><br />{t('The agent compacts it by itself at {n} tokens, {share}.', { n: count(threshold), share: percent(threshold, size) })}</>}
      </p>
      <div class="al-whole" aria-hidden="true">
        <i style={{ width: `${(used / size) * 100}%` }} />
        {threshold !== null && <b style={{ insetInlineStart: `${(threshold / size) * 100}%` }} />}
      </div>
      <Bars size={size} rows={categories.map(({ name, tokens, kind }) => ({
        name: kind === 'deferred' ? name.replace(/ \(deferred\)$/, '') : name, about: KINDS[kind] ? t(KINDS[kind]) : '', kind, tokens
      }))} />
      {groups.map(group => {
        const inGroup = detail.filter(each => each.group === group).sort((a, b) => b.tokens - a.tokens);
        return (
          <details>
            <summary>{group} <span class="al-muted">{count(inGroup.reduce((sum, each) => sum + each.tokens, 0))}</span></summary>
            <Bars rows={inGroup.map(({ name, tokens }) => ({ name, about: '', kind: 'used', tokens }))} size={size} />
          </details>
        );
      })}
      {canCompact && (
        <div class="al-buttons">
          <button type="button" class="al-button" onClick={() => {
            close();
            chat.prompt([{ type: 'text', text: '/compact' }], []);
            chat.composer.focus();
          }}>{t('Compact')}</button>
          <span class="al-muted">{t('The agent replaces the conversation so far by a summary of it, for itself; you keep all of it.')}</span>
        </div>
      )}
    </>
  );
}

interface BarsProps {
  readonly rows: readonly { readonly name: string; readonly about: string; readonly kind: Kind; readonly tokens: number }[];
  readonly size: number;
}

function Bars({ rows, size }: BarsProps): JSX.Element {
  // Against the whole, all bars of a large context would be one pixel.
  const most = Math.max(1, ...rows.map(({ kind, tokens }) => (kind === 'free' ? 0 : tokens)));
  return (
    <table class="al-bars">
      <tbody>
        {rows.map(({ name, about, kind, tokens }) => (
          <tr>
            <th scope="row"><Visible text={name} />{about && <span class="al-muted">, {about}</span>}</th>
            <td class={`al-bar-cell al-kind-${kind}`} aria-hidden="true">{kind !== 'free' && <i style={{ width: `${(tokens / most) * 100}%` }} />}</td>
            <td class="al-number">{tokens.toLocaleString('en')}</td>
            <td class="al-number al-muted">{percent(tokens, size)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function CostParts({ chat, usage, words }: { chat: Chat; usage: Session['usage']; words: string }): JSX.Element {
  const answer = useAnswer<{ cost: Cost }>(chat, '', `${usage.turns} ${usage.cost_usd} ${usage.output_tokens}`);
  if (typeof answer !== 'object') {
    return <Waiting title={t('Cost')} words={answer} />;
  }
  const { by_model, by_turn } = answer.cost;
  const prompts = new Map<string, { readonly words: string; readonly time: string }>();
  for (const item of chat.transcript?.items ?? []) {
    if (item.type === 'user_message' && item.turn_id !== null && !prompts.has(item.turn_id)) {
      prompts.set(item.turn_id, { words: firstLine(textOf(item.content)).slice(0, 80), time: item.time });
    }
  }
  // In the order of the conversation; those above the part that is loaded come first.
  const order = [...prompts.keys()];
  const turns = [...by_turn].sort((a, b) => order.indexOf(a.key ?? '') - order.indexOf(b.key ?? ''));
  return (
    <>
      <h3>{t('Cost')}</h3>
      <p>{words}{usage.cost_usd === null ? '' : `: ${cost(usage.cost_usd, usage.cost_source)}`}</p>
      <Costs caption={t('By model')} rows={by_model} name={row => <Visible text={row.key ?? t('unknown')} />} />
      <Costs caption={t('By turn')} rows={turns} name={row => {
        const prompt = prompts.get(row.key ?? '');
        return prompt
          ? <><Visible text={prompt.words || t('without words')} /> <span class="al-muted">{clock(prompt.time)}</span></>
          : row.key === null ? t('outside of a turn') : t('an earlier turn');
      }} />
    </>
  );
}

interface CostsProps {
  readonly caption: string;
  readonly rows: readonly UsageRow[];
  name(row: UsageRow): ComponentChildren;
}

function Costs({ caption, rows, name }: CostsProps): JSX.Element {
  return (
    <table class="al-costs">
      <caption>{caption}</caption>
      <thead>
        <tr>
          <th scope="col"><span class="al-unseen">{caption}</span></th>
          <th scope="col">{t('in')}</th><th scope="col">{t('out')}</th><th scope="col">{t('cached')}</th><th scope="col">{t('cost')}</th>
        </tr>
      </thead>
      <tbody>
        {rows.map(row => (
          <tr>
            <th scope="row">{name(row)}</th>
            <td class="al-number">{count(row.input_tokens)}</td>
            <td class="al-number">{count(row.output_tokens)}</td>
            <td class="al-number">{count(row.cache_read_tokens + row.cache_write_tokens)}</td>
            <td class="al-number">{cost(row.cost_usd, row.cost_source)}</td>
          </tr>
        ))}
        {rows.length === 0 && <tr><th scope="row" class="al-muted">{t('nothing yet')}</th><td /><td /><td /><td>–</td></tr>}
      </tbody>
    </table>
  );
}

function Waiting({ title, words }: { title: string; words: string | undefined }): JSX.Element {
  return <><h3>{title}</h3><p role="status">{words ?? t('Asking…')}</p></>;
}
