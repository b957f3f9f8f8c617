/** One session of the list: what it is, what it does, where a search found it. */

import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { Brief } from '../changes.js';
import { cost } from './format.js';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import { memo } from './memo.js';
import { age, markOf, markTitle, piecesOf } from './sessionMark.js';
import type { Piece } from './sessionMark.js';
import type { Hit } from './sessionStore.js';
import { Visible } from './text.js';

export interface RowActions {
  open(id: string, seq?: number): void;
  rename(id: string | null): void;
  renamed(id: string, title: string): void;
  menu(id: string): void;
  /** The row came to have the focus. */
  here(id: string): void;
}

interface RowProps {
  readonly row: Brief;
  readonly hits: readonly Hit[] | undefined;
  readonly query: string;
  /** Minutes since 1970: the ages are told anew when it is another. */
  readonly minute: number;
  /** Tab comes to this row, the arrows lead on from it. */
  readonly current: boolean;
  /** The page shows this session. */
  readonly shown: boolean;
  readonly renaming: boolean;
  readonly menuOpen: boolean;
  readonly actions: RowActions;
}

export const SessionRow = memo((props: RowProps): JSX.Element => {
  const { row, hits, query, minute, current, shown, renaming, menuOpen, actions } = props;
  const mark = markOf(row);
  const whole = row.notebook ?? row.path;
  // The name tells more than the way to it where there is little room; the top folder has none here.
  const place = (whole || row.cwd).replace(/\/+$/, '').split('/').at(-1) ?? '';
  const model = row.model === 'default' ? null : row.model;
  const tab = current ? 0 : -1;
  const what = [mark.text, row.agent, row.model, whole || row.cwd].filter(Boolean).join(' · ');
  return (
    <li class={`al-row ${shown ? 'al-row-shown' : ''} al-mark-${mark.tone}`} data-id={row.id}
      onFocusCapture={() => actions.here(row.id)}>
      {renaming
        ? <Title title={row.title} done={title => {
            actions.rename(null);
            if (title && title !== row.title) {
              actions.renamed(row.id, title);
            }
          }} />
        : (
          <button type="button" class="al-row-open" tabIndex={tab} aria-current={shown ? 'true' : undefined}
            data-row onClick={() => actions.open(row.id)}>
            <Icon name={mark.icon} class={mark.icon === 'arc' ? 'al-spin' : ''} />
            <span class="al-row-title"><Pieces pieces={markTitle(row.title || t('New session'), query)} /></span>
            <time dateTime={row.updated_at}>{age(row.updated_at, (minute + 1) * 60_000 - 1)}</time>
            <span class="al-row-what" title={what}>
              <span class="al-row-state">{mark.text}</span>{' · '}{row.agent}
              {' · '}<Visible text={place} />
              {model && <>{' · '}{model}</>}
            </span>
            <span class="al-row-cost" title={t('Cost')}>{cost(row.cost_usd, row.cost_source)}</span>
          </button>
        )}
      <button type="button" class="al-button al-quiet al-square al-row-more" tabIndex={tab}
        aria-label={t('Actions for {title}', { title: row.title })} title={t('Rename, fork, end, delete')}
        aria-haspopup="menu" aria-expanded={menuOpen} data-more onClick={() => actions.menu(row.id)}>
        <Icon name="more" />
      </button>
      {hits?.map(hit => (
        <button type="button" class="al-hit" tabIndex={tab} title={t('Open at this place')}
          onClick={() => actions.open(row.id, hit.seq)}>
          <Pieces pieces={piecesOf(hit.text)} />
        </button>
      ))}
    </li>
  );
});

function Pieces({ pieces }: { pieces: readonly Piece[] }): JSX.Element {
  return (
    <>
      {pieces.map(({ text, hit }) => hit ? <mark><Visible text={text} /></mark> : <Visible text={text} />)}
    </>
  );
}

function Title({ title, done }: { title: string; done(title: string): void }): JSX.Element {
  const field = useRef<HTMLInputElement>(null);
  const over = useRef(false);
  const finish = (text: string): void => {
    if (!over.current) {
      over.current = true;
      done(text.trim());
    }
  };
  useEffect(() => field.current?.select(), []);
  return (
    <input ref={field} class="al-field al-row-rename" defaultValue={title} aria-label={t('Title')} autoFocus
      onBlur={event => finish(event.currentTarget.value)}
      onKeyDown={event => {
        event.stopPropagation();
        if (event.key === 'Enter' && !event.isComposing) {
          // The row's button has the focus next and would take the key for a press.
          event.preventDefault();
          finish(event.currentTarget.value);
        } else if (event.key === 'Escape') {
          event.preventDefault();
          finish('');
        }
      }} />
  );
}
