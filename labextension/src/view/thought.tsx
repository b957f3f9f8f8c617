/** Thinking: live while it runs, then one quiet line. */

import type { JSX } from 'preact';
import type { ThoughtItem } from '../transcript.js';
import { useChat } from './context.js';
import { duration, elapsed } from './format.js';
import { t } from './i18n.js';
import { useKept } from './kept.js';
import { Line } from './line.js';
import { Markdown } from './markdown.js';
import { memo } from './memo.js';
import { useTicking } from './ticking.js';

export const Thought = memo(({ item, live }: { item: ThoughtItem; live: boolean }): JSX.Element => {
  const chat = useChat();
  const [wanted, want] = useKept<boolean | undefined>(`open:${item.id}`, undefined);
  const running = live && !item.done;
  useTicking(running);
  const open = wanted ?? running;
  const time = item.duration_ms;
  const name = running ? t('Thinking, {time}', { time: elapsed(chat.since(item.id, item.time)) })
    : time === null ? t('Thought')
    : t('Thought for {time}', { time: time < 950 ? duration(time) : elapsed(Math.round(time / 1000) * 1000) });
  return (
    <Line label={t('Thinking')} icon="think" name={name} open={open && item.text !== ''} class="al-thinking"
      {...(item.text ? { toggle: () => want(!open) } : {})}>
      <div class="al-thought"><Markdown text={item.text} done={!running} /></div>
    </Line>
  );
});
