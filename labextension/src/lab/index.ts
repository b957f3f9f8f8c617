/** The plugins that JupyterLab loads. */
import { chats } from './chats';
import { errors } from './errors';
import { launcher } from './launcher';
import { notebookButton } from './notebookButton';
import { sidebar } from './sidebar';
import { split } from './split';
import { terminal } from './terminal';

export { IChats, INotebookChats, ISplits } from './tokens';

export default [chats, split, sidebar, notebookButton, launcher, terminal, errors];
