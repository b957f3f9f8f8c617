/** How a cell did when it was tried in a copy of the kernel: before and after, side by side. */

import type { ComponentChildren, JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import type { Trial, TrialSide } from '../protocol.js';
import { DiffLines } from './diff.js';
import { bytes, duration } from './format.js';
import { t, tn } from './i18n.js';
import { Icon } from './icons.js';
import { Visible } from './text.js';
import { compare, differenceOf, figure } from './trial.js';
import type { Comparison, Pair, Table, TablePair } from './trial.js';

const MOST_LINES = 200;

/** `instead`: what can be done where it cannot be tried. */
export function TrialView({ trial, instead }: { trial: Trial; instead?: string }): JSX.Element {
  switch (trial.status) {
    case 'running':
      return (
        <p class="al-trial-line" role="status">
          <Icon name="arc" class="al-spin al-brand" />{t('Trying it in a copy of the kernel; the kernel itself stays as it is…')}
        </p>
      );
    case 'refused':
      return (
        <div class="al-trial-line" role="status">
          <Icon name="info" />
          <span>
            {t('This was not tried:')} <Visible text={trial.reason} />{/[.!?]$/.test(trial.reason) ? ' ' : '. '}
            {instead && <span class="al-muted">{instead}</span>}
          </span>
        </div>
      );
    case 'failed':
      return (
        <div class="al-trial-line" role="status">
          <Icon name="warning" class="al-error" /><span>{t('The trial failed:')} <Visible text={trial.reason} /></span>
        </div>
      );
    case 'done':
      return <Done trial={trial} />;
  }
}

function Done({ trial }: { trial: Trial }): JSX.Element {
  const { before, after } = trial;
  const result = useMemo(() => compare(trial), [trial]);
  return (
    <section class="al-trial" role="group" aria-label={t('Result of the trial')}>
      <div class={`al-trial-sides ${before ? '' : 'al-trial-one'}`}>
        {before && <Side name={t('Before')} side={before} />}
        {after && <Side name={before ? t('After') : t('Tried')} side={after} />}
      </div>
      {result && <Differences result={result} both={before !== null} end={before?.error === after?.error} />}
    </section>
  );
}

function statusWords(side: TrialSide): string {
  switch (side.status) {
    case 'ok':
      return t('worked');
    case 'error':
      return t('failed');
    case 'timeout':
      return t('took too long and was ended');
    case 'memory':
      return t('needed too much memory and was ended');
    case 'signal':
      return t('crashed');
  }
}

function Side({ name, side }: { name: string; side: TrialSide }): JSX.Element {
  const good = side.status === 'ok';
  return (
    <div class="al-trial-side">
      <div class="al-trial-name">{name}</div>
      <div class={good ? '' : 'al-error'}><Icon name={good ? 'check' : 'failed'} class={good ? 'al-ok' : 'al-error'} />{statusWords(side)}</div>
      <div class="al-trial-figures">
        {duration(side.seconds * 1000)}
        {side.memory !== null && <> · {t('{size} of memory', { size: bytes(side.memory) })}</>}
      </div>
      {side.error && <pre class="al-trial-error" tabIndex={0}><Visible text={side.error} /></pre>}
    </div>
  );
}

/** `end`: both came to the same end. */
function Differences({ result, both, end }: { result: Comparison; both: boolean; end: boolean }): JSX.Element {
  const { text, tables, metrics, images, notCompared } = result;
  const same = both && end && text === null && images.every(pair => pair.before === pair.after);
  return (
    <>
      {metrics.length > 0 && (
        <Part name={t('Values')}>
          <table class="al-trial-values">
            <thead><tr><th>{t('Name')}</th><th>{t('Before')}</th><th>{t('After')}</th><th>{t('Difference')}</th></tr></thead>
            <tbody>
              {metrics.map(metric => (
                <tr>
                  <th scope="row">{metric.name ? <Visible text={metric.name} /> : t('Result')}</th>
                  <td>{figure(metric.before)}</td><td>{figure(metric.after)}</td><td>{differenceOf(metric)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Part>
      )}
      {tables.map((pair, index) => (
        <Part name={tables.length > 1 ? t('Table {n}', { n: index + 1 }) : t('Table')}><TableLines pair={pair} both={both} /></Part>
      ))}
      {text && text.length > 0 && (
        <Part name={t('Text')}>
          <DiffLines lines={text.slice(0, MOST_LINES)} label={t('Difference of the outputs')} />
          {text.length > MOST_LINES && <div class="al-foot-note">{t('{shown} of {all} lines', { shown: MOST_LINES, all: text.length })}</div>}
        </Part>
      )}
      {images.map(pair => <Pictures pair={pair} both={both} />)}
      {same && <p class="al-muted">{t('Both versions put out the same.')}</p>}
      {notCompared.length > 0 && (
        <p class="al-muted">{t('Not compared: {types}', { types: notCompared.join(', ') })}</p>
      )}
    </>
  );
}

function Part({ name, children }: { name: string; children: ComponentChildren }): JSX.Element {
  return <div class="al-trial-part"><div class="al-trial-name">{name}</div>{children}</div>;
}

function shapeOf(table: Table | null): string {
  if (!table) {
    return t('none');
  }
  const { rows, width } = table;
  return `${rows === null ? '?' : rows.toLocaleString('en')} × ${width ?? '?'}`;
}

function TableLines({ pair, both }: { pair: TablePair; both: boolean }): JSX.Element {
  const { before, after, added, removed, dtypes } = pair;
  const same = shapeOf(before) === shapeOf(after);
  return (
    <ul class="al-trial-table">
      <li>
        {t('Rows × columns:')} {both && !same && <>{shapeOf(before)} → </>}{shapeOf(after)}{both && same && `, ${t('the same')}`}
      </li>
      {added.length > 0 && <li>{tn('New column:', 'New columns:', added.length)} <code><Visible text={added.join(', ')} /></code></li>}
      {removed.length > 0 && <li>{tn('Column gone:', 'Columns gone:', removed.length)} <code><Visible text={removed.join(', ')} /></code></li>}
      {both && before && after && (
        <li>
          {t('Types of the columns:')} {dtypes === null ? t('not compared') : dtypes.length === 0 ? t('the same')
            : <code><Visible text={dtypes.join(', ')} /></code>}
        </li>
      )}
    </ul>
  );
}

function Pictures({ pair, both }: { pair: Pair<string | null>; both: boolean }): JSX.Element {
  const { before, after } = pair;
  const picture = (source: string | null, name: string): JSX.Element => (
    <figure>
      {source ? <img class="al-picture" alt={name} src={source} /> : <span class="al-muted">{t('no picture')}</span>}
      <figcaption>{name}</figcaption>
    </figure>
  );
  return (
    <div class={`al-trial-sides ${both ? '' : 'al-trial-one'}`}>
      {both && picture(before, t('Picture before'))}
      {picture(after, both ? t('Picture after') : t('Picture'))}
    </div>
  );
}
