/** One tool call: a line while closed; open, what went in and what came out. */

import type { JSX } from 'preact';
import type { Item, PermissionItem, ToolItem } from '../transcript.js';
import { useChat } from './context.js';
import { ItemRow } from './conversation.js';
import { between, duration, elapsed } from './format.js';
import { t, tn } from './i18n.js';
import { Icon } from './icons.js';
import { useKept } from './kept.js';
import { Line } from './line.js';
import { memo } from './memo.js';
import type { Layout } from './sections.js';
import { useTicking } from './ticking.js';
import { ToolBody } from './toolBody.js';
import { isSubAgent, toolIcon, toolName, toolResult, toolTarget } from './tools.js';

interface ToolCardProps {
  readonly item: ToolItem;
  readonly decision: PermissionItem | undefined;
  readonly children_: readonly Item[] | undefined;
  readonly parts: Layout;
  readonly live: boolean;
}

function ToolCardView({ item, decision, children_, parts, live }: ToolCardProps): JSX.Element {
  const chat = useChat();
  const [wanted, want] = useKept<boolean | undefined>(`open:${item.id}`, undefined);
  const waits = decision?.outcome === null && live;
  const runs = item.ended_at === null && live;
  const nested = children_ ?? [];
  const open = wanted ?? (runs && isSubAgent(item) && nested.length > 0);
  const target = toolTarget(item, chat.session?.workspace.cwd ?? '');
  return (
    <Line label={t('Tool call: {title}', { title: item.title })} icon={toolIcon(item)} name={toolName(item)}
      target={target.text} prose={!target.code} open={open} toggle={() => want(!open)} card
      meta={<Meta item={item} decision={decision} waits={waits} runs={runs} steps={nested.filter(each => each.type === 'tool_call').length} />}>
      <div class="al-card-body">
        <ToolBody item={item} />
        {nested.length > 0 && (
          <div class="al-nest">
            {nested.map(each => (
              <ItemRow key={`${each.type}:${each.id}`} item={each} parts={parts} last={false} live={live} />
            ))}
          </div>
        )}
      </div>
    </Line>
  );
}

/** Drawn again when the call, its decision or what it holds changed; not for other items of the section. */
const Same = memo((props: Omit<ToolCardProps, 'parts'> & { readonly nest: Layout | undefined }): JSX.Element => (
  <ToolCardView {...props} parts={props.nest ?? NOTHING} />
));
const NOTHING: Layout = { rows: [], children: new Map(), decisions: new Map(), calls: new Map() };

export function ToolCard({ parts, ...props }: ToolCardProps): JSX.Element {
  return <Same {...props} nest={props.children_ ? parts : undefined} />;
}

interface MetaProps {
  readonly item: ToolItem;
  readonly decision: PermissionItem | undefined;
  readonly waits: boolean;
  readonly runs: boolean;
  readonly steps: number;
}

function Meta({ item, decision, waits, runs, steps }: MetaProps): JSX.Element {
  const chat = useChat();
  useTicking(runs && !waits);
  const result = toolResult(item);
  return (
    <>
      {steps > 0 && <span>{tn('{n} step', '{n} steps', steps)}</span>}
      {(result.added > 0 || result.removed > 0) && (
        <span>
          {result.added > 0 && <span class="al-plus">+{result.added}</span>}{' '}
          {result.removed > 0 && <span class="al-minus">−{result.removed}</span>}
        </span>
      )}
      {decision?.outcome && <span class="al-decision">{decided(decision)}</span>}
      {result.text && <span class={result.tone === 'error' ? 'al-error' : ''}>{result.text}</span>}
      {waits
        ? <><span class="al-waits">{t('waiting for you')}</span><Icon name="diamond" class="al-brand" /></>
        : <StateIcon item={item} runs={runs} />}
      <span class="al-time">
        {waits ? ''
          : item.ended_at !== null ? duration(between(item.started_at, item.ended_at))
          : runs ? elapsed(chat.since(item.id, item.started_at)) : ''}
      </span>
    </>
  );
}

/** What a person decided about a call, in two words. */
export function decided(item: PermissionItem): string {
  if (item.outcome === 'cancelled') {
    return t('not answered');
  }
  const kind = item.request.options.find(option => option.option_id === item.option_id)?.kind;
  return kind === 'allow_always' ? t('always allowed') : kind === 'allow_once' ? t('allowed') : t('rejected');
}

function StateIcon({ item, runs }: { item: ToolItem; runs: boolean }): JSX.Element {
  switch (item.status) {
    case 'completed':
      return <Icon name="check" class="al-ok" />;
    case 'failed':
      return <Icon name="failed" class="al-error" />;
    case 'cancelled':
      return <Icon name="stop" />;
    default:
      return runs ? <Icon name="arc" class="al-spin al-brand" /> : <Icon name="dash" />;
  }
}
