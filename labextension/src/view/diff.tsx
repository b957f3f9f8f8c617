/** A change to a file: coloured lines that also say − and +. */

import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import type { DiffBlock } from '../protocol.js';
import { useChat } from './context.js';
import { diffLines } from './diffLines.js';
import type { DiffLine } from './diffLines.js';
import { t } from './i18n.js';
import { useKept } from './kept.js';
import { memo } from './memo.js';
import { Visible } from './text.js';
import { relative } from './tools.js';

export const FIRST = 40;

interface DiffProps {
  readonly block: DiffBlock;
  /** Its own in its session; a change that is only asked about is named by its file. */
  readonly name?: string;
}

export const Diff = memo(({ block, name }: DiffProps): JSX.Element => {
  const { host, session } = useChat();
  const [most, show] = useKept<number>(`diff:${name ?? block.path}`, FIRST);
  const lines = useMemo(() => diffLines(block.old_text, block.new_text), [block]);
  const path = relative(block.path, session?.workspace.cwd ?? '');
  return (
    <div class="al-diff-box">
      {path && (
        <div class="al-diff-head">
          {host.openFile
            ? <button type="button" class="al-link" onClick={() => host.openFile?.(block.path, block.line ?? undefined)}><Visible text={path} /></button>
            : <span><Visible text={path} /></span>}
          {block.line !== null && <span class="al-muted">{t('line {n}', { n: block.line })}</span>}
          {block.old_text === null && <span class="al-muted">{t('new file')}</span>}
        </div>
      )}
      <FirstLines lines={lines} most={most} show={show} />
    </div>
  );
});

interface FirstProps {
  readonly lines: readonly DiffLine[];
  readonly most: number;
  show(most: number): void;
}

/** As many as are to be shown, and what shows more. */
export function FirstLines({ lines, most, show }: FirstProps): JSX.Element {
  return (
    <>
      <DiffLines lines={lines.slice(0, most)} label={t('Change')} />
      {lines.length > most && (
        <div class="al-foot-note">
          <span>{t('{shown} of {all} lines', { shown: most, all: lines.length })}</span>
          <button type="button" class="al-link" onClick={() => show(most * 10)}>{t('Show more')}</button>
        </div>
      )}
    </>
  );
}

/** Lines with their signs, in a part that scrolls. */
export function DiffLines({ lines, label }: { lines: readonly DiffLine[]; label: string }): JSX.Element {
  return (
    <div class="al-diff" tabIndex={0} role="group" aria-label={label}>
      {lines.map(line => <OneLine line={line} />)}
    </div>
  );
}

function OneLine({ line }: { line: DiffLine }): JSX.Element {
  const { sign, text, mark } = line;
  const kind = sign === '+' ? 'al-added' : sign === '−' ? 'al-removed' : '';
  return (
    <div class={kind}>
      <span>{sign}</span>
      <span>
        {mark
          ? <><Visible text={text.slice(0, mark[0])} /><mark><Visible text={text.slice(mark[0], mark[1])} /></mark><Visible text={text.slice(mark[1])} /></>
          : <Visible text={text} />}
      </span>
    </div>
  );
}
