/** A run of finished calls as one line; open, the calls themselves. */

import type { JSX } from 'preact';
import type { Item, ToolItem } from '../transcript.js';
import { useChat } from './context.js';
import { ItemRow } from './conversation.js';
import { between, duration } from './format.js';
import { t, tn } from './i18n.js';
import { Icon } from './icons.js';
import { useKept } from './kept.js';
import { Line } from './line.js';
import type { Layout } from './sections.js';
import { toolName, toolTarget } from './tools.js';

export function Steps({ items, parts }: { items: readonly Item[]; parts: Layout }): JSX.Element {
  const chat = useChat();
  const [open, setOpen] = useKept<boolean>(`steps:${items[0]?.id ?? ''}`, false);
  const calls = items.filter((item): item is ToolItem => item.type === 'tool_call');
  const title = tn('{n} step', '{n} steps', calls.length);
  const cwd = chat.session?.workspace.cwd ?? '';
  const told = calls
    .map(call => {
      const target = toolTarget(call, cwd).text;
      const name = toolName(call);
      const short = target.length > 32 ? `${target.slice(0, 31)}…` : target;
      return `${name.charAt(0).toLowerCase()}${name.slice(1)} ${short}`.trim();
    })
    .join(', ');
  const total = calls.reduce((sum, call) => sum + between(call.started_at, call.ended_at ?? call.started_at), 0);
  return (
    <Line label={t('Tool call: {title}', { title })} icon="list" name={title} target={told} prose
      open={open} toggle={() => setOpen(!open)}
      meta={<><Icon name="check" class="al-ok" /><span class="al-time">{duration(total)}</span></>}>
      <div class="al-nest">
        {items.map(item => (
          <ItemRow key={`${item.type}:${item.id}`} item={item} parts={parts} last={false} live={false} />
        ))}
      </div>
    </Line>
  );
}
